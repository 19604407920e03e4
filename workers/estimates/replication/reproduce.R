# Reproduces every number of analyses.csv from texts.csv in base R: no package is needed.
#
#     Rscript reproduce.R
#
# Written on its own, without Remand's code. Exit status 1 when a number differs.

here <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
if (length(here) == 1) setwd(dirname(normalizePath(here)))
read <- function(name) {
  read.csv(name, colClasses = "character", check.names = FALSE, na.strings = character(0), encoding = "UTF-8")
}
texts <- read("texts.csv")
analyses <- read("analyses.csv")
close_enough <- 1e-6

number_of <- function(values) {
  found <- suppressWarnings(as.numeric(values))
  found[is.na(found)] <- 0
  found
}
column <- function(...) number_of(texts[[paste(..., sep = ".")]])
stratum <- as.integer(factor(texts$stratum))
cluster <- as.integer(factor(texts$cluster))

# A column of the design, or the outcome, in one reading of the labels; 0 for texts not asked about.
reading <- function(n, row, how) {
  asked <- column("asked", n)
  if (row$role == "intercept") return(asked)
  if (row$type == "label") {
    if (how == "predicted") return(column("predicted", n, row$variable) * asked)
    return(column(how, row$variable) * asked)
  }
  values <- texts[[paste("column", row$variable, sep = ".")]]
  if (row$type == "level") return((values == row$level) * asked)
  number_of(values) * asked
}
design <- function(n, rows, how) {
  do.call(cbind, lapply(seq_len(nrow(rows))[-1], function(i) reading(n, rows[i, ], how)))
}
average <- function(values, logistic) if (logistic) plogis(values) else values

# The summed moment and its derivative, over one or two readings.
moment <- function(parts, beta, logistic) {
  Reduce(`+`, lapply(parts, function(p) {
    crossprod(p$x, p$w * (p$y - average(drop(p$x %*% beta), logistic)))
  }))
}
slope <- function(parts, beta, logistic) {
  Reduce(`+`, lapply(parts, function(p) {
    mean <- average(drop(p$x %*% beta), logistic)
    crossprod(p$x, p$x * (p$w * (if (logistic) mean * (1 - mean) else 1)))
  }))
}
root <- function(parts, logistic) {
  beta <- rep(0, ncol(parts[[1]]$x))
  for (turn in 1:200) {
    now <- moment(parts, beta, logistic)
    step <- drop(solve(slope(parts, beta, logistic), now, tol = 1e-20))
    size <- 1
    while (sum(moment(parts, beta + size * step, logistic)^2) >= sum(now^2) && size > 1e-9) size <- size / 2
    if (size <= 1e-9) break
    beta <- beta + size * step
  }
  beta
}

# Sandwich over clusters; the sampled part is centred within its stratum, as it is drawn there without replacement.
covariance <- function(n, parts, beta, logistic, lambda) {
  read <- column("read", n) > 0
  part <- lapply(parts, function(p) p$x * (p$y - average(drop(p$x %*% beta), logistic)))
  sampled <- part$expert - lambda * part$predicted
  each <- lambda * part$predicted
  for (h in unique(stratum)) {
    drawn <- stratum == h & read
    k <- sum(drawn)
    if (k == 0) next
    level <- colMeans(sampled[drawn, , drop = FALSE])
    each[stratum == h, ] <- sweep(each[stratum == h, , drop = FALSE], 2, level, `+`)
    apart <- sweep(sampled[drawn, , drop = FALSE], 2, level)
    each[drawn, ] <- each[drawn, , drop = FALSE] + sqrt(k / max(k - 1, 1)) * parts$expert$w[drawn] * apart
  }
  summed <- rowsum(each, cluster)
  count <- length(unique(cluster[column("asked", n) > 0]))
  bread <- solve(slope(parts, beta, logistic), tol = 1e-20)
  bread %*% crossprod(summed) %*% t(bread) * count / max(count - length(beta), 1)
}

solved <- function(n, rows) {
  logistic <- rows$link[1] == "logistic"
  lambda <- as.numeric(rows$tuning[1])
  w <- column("read", n) / pmax(column("inclusion", n), 1e-300)
  part <- function(how, weights) {
    list(y = reading(n, rows[1, ], how), x = design(n, rows, how), w = weights)
  }
  parts <- list(predicted = part("predicted", lambda * (1 - w)), expert = part("expert", w))
  beta <- root(parts, logistic)
  error <- sqrt(diag(covariance(n, parts, beta, logistic, lambda)))
  half <- qt((1 + as.numeric(rows$level_of_intervals[1])) / 2, as.integer(rows$freedom[1])) * error
  list(estimate = beta, standard_error = error, low = beta - half, high = beta + half)
}

# The same regression with the labels given taken as they are, on texts that have all of them.
naive <- function(n, rows) {
  known <- column("asked", n) > 0
  for (name in unique(rows$variable[rows$type == "label"])) {
    known <- known & texts[[paste("student", name, sep = ".")]] != ""
  }
  parts <- list(list(
    y = reading(n, rows[1, ], "student")[known],
    x = design(n, rows, "student")[known, , drop = FALSE], w = rep(1, sum(known))
  ))
  tryCatch(root(parts, rows$link[1] == "logistic"), error = function(e) NULL)
}

# A share with few events: the difference estimator with one slope per text, and Fay and Feuer's (1997) interval.
rare <- function(n, rows) {
  name <- rows$variable[1]
  asked <- column("asked", n)
  read <- column("read", n) > 0
  labels <- column("expert", name)
  said <- column("predicted", n, name)
  count <- sum(asked)
  turned <- mean(labels[read & asked > 0]) > 0.5
  e <- asked * (if (turned) 1 - labels else labels)
  q <- asked * (if (turned) 1 - said else said)
  sizes <- tabulate(stratum)
  taken <- tabulate(stratum[read], length(sizes))
  q <- (q - ave(q, stratum))[read]
  e <- e[read]
  h <- stratum[read]
  centred <- function(values) values - ave(values, h)
  scale <- (sizes^2 * (1 - taken / sizes) / (pmax(taken, 1) * pmax(taken - 1, 1)))[h]
  out <- (taken / pmax(taken - 1, 1))[h]
  product <- scale * centred(e) * centred(q)
  square <- scale * centred(q)^2
  covered <- sum(product) - out * product
  spread <- sum(square) - out * square
  noise <- sum(product^2) - product^2
  slopes <- ifelse(spread > 0, covered / spread, 0)
  certain <- ifelse(noise > 0, covered^2 / noise, 0)
  corrected <- e - pmax(slopes, 0) * certain / (certain + 2) * q
  total <- max(sum(corrected * (sizes / pmax(taken, 1))[h]), sum(e))
  variance <- sum(centred(corrected)^2 * scale) + total * (1 - total / count)
  largest <- max(sizes / pmax(taken, 1))
  tail <- (1 - as.numeric(rows$level_of_intervals[1])) / 2
  low <- if (total > 0 && variance > 0) qgamma(tail, total^2 / variance, scale = variance / total) else total
  more <- total + largest
  wider <- variance + largest^2
  high <- qgamma(1 - tail, more^2 / wider, scale = wider / more)
  ends <- pmin(c(low, high), count) / count
  if (turned) ends <- 1 - rev(ends)
  share <- total / count
  list(
    estimate = if (turned) 1 - share else share, standard_error = sqrt(variance) / count,
    low = ends[1], high = ends[2]
  )
}

wrong <- 0
for (n in unique(analyses$analysis)) {
  rows <- analyses[analyses$analysis == n, ]
  found <- if (rows$rare[1] == "1") rare(n, rows) else solved(n, rows)
  found$naive <- naive(n, rows)
  for (i in seq_len(nrow(rows))[-1]) {
    for (part in names(found)) {
      if (rows[[part]][i] == "") next
      told <- as.numeric(rows[[part]][i])
      here <- found[[part]][i - 1]
      same <- abs(told - here) <= close_enough * max(1, abs(told))
      wrong <- wrong + !same
      cat(if (same) "same" else "DIFFERS", n, paste(rows$name[i], part), format(told, digits = 8),
          format(here, digits = 8), sep = "\t")
      cat("\n")
    }
  }
}
cat(if (wrong == 0) "all numbers are the same\n" else paste(wrong, "numbers differ\n"))
quit(status = as.integer(wrong > 0))
