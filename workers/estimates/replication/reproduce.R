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
cluster <- as.integer(factor(texts$cluster))

# The sample, or each of several: stratum (NA: not in its frame), who was read, sizes, share of the texts' weight; `group`: strata for
# the variance, where one of which a single text was read goes with the next one that was read, the last with the one before.
samples <- function(n) {
  ends <- if ("stratum" %in% names(texts)) "" else paste0(".", sort(as.integer(sub("^stratum\\.", "", grep("^stratum\\.[0-9]+$", names(texts), value = TRUE)))))
  lapply(ends, function(end) {
    h <- suppressWarnings(as.integer(texts[[paste0("stratum", end)]])) + 1L
    read <- number_of(texts[[paste0("drawn", end)]]) > 0 & column("read", n) > 0
    sizes <- tabulate(h)
    taken <- tabulate(h[read], length(sizes))
    into <- seq_along(sizes)
    waiting <- before <- NA
    for (k in which(taken > 0)) {
      if (!is.na(waiting)) {
        into[k] <- into[waiting]
        waiting <- NA
      } else if (taken[k] == 1 && sizes[k] > 1) {
        waiting <- k
        next
      }
      before <- k
    }
    if (!is.na(waiting) && !is.na(before)) into[waiting] <- into[before]
    share <- if (end == "") rep(1, length(h)) else number_of(texts[[paste0("share", end)]])
    list(h = h, inside = !is.na(h), read = read, sizes = sizes, taken = taken, share = share, group = into[h])
  })
}

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
  part <- lapply(parts, function(p) p$x * (p$y - average(drop(p$x %*% beta), logistic)))
  each <- lambda * part$predicted
  for (s in samples(n)) {
    sampled <- s$share * (part$expert - lambda * part$predicted)
    weight <- (s$sizes / pmax(s$taken, 1))[s$h]
    for (g in unique(s$group[s$read])) {
      here <- s$inside & s$group == g
      here[is.na(here)] <- FALSE
      drawn <- here & s$read
      k <- sum(drawn)
      level <- colSums(weight[drawn] * sampled[drawn, , drop = FALSE]) / sum(weight[drawn])
      each[here, ] <- sweep(each[here, , drop = FALSE], 2, level, `+`)
      apart <- sweep(sampled[drawn, , drop = FALSE], 2, level)
      each[drawn, ] <- each[drawn, , drop = FALSE] + sqrt(k / max(k - 1, 1)) * weight[drawn] * apart
    }
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
  yes <- asked * (if (turned) 1 - labels else labels)
  guess <- asked * (if (turned) 1 - said else said)
  e <- q <- h <- sizes <- taken <- NULL
  largest <- 0
  for (s in samples(n)) {
    expected <- s$share * guess
    expected[s$inside] <- expected[s$inside] - ave(expected[s$inside], s$h[s$inside])
    weight <- s$share * (s$sizes / pmax(s$taken, 1))[s$h]
    largest <- max(largest, weight[s$inside & asked > 0])
    e <- c(e, (s$share * yes)[s$read])
    q <- c(q, expected[s$read])
    h <- c(h, s$h[s$read] + length(sizes))
    sizes <- c(sizes, s$sizes)
    taken <- c(taken, s$taken)
  }
  centred <- function(values) values - ave(values, h)
  scale <- (sizes^2 * (1 - taken / sizes) / (pmax(taken, 1) * pmax(taken - 1, 1)))[h]
  out <- (taken / pmax(taken - 1, 1))[h]
  apart <- centred(q)
  apart[abs(apart) <= 1e-9 * max(abs(q))] <- 0 # rounding
  product <- scale * centred(e) * apart
  square <- scale * apart^2
  covered <- sum(product) - out * product
  spread <- sum(square) - out * square
  noise <- sum(product^2) - product^2
  slopes <- ifelse(spread > 1e-9 * sum(square), covered / spread, 0)
  certain <- ifelse(noise > 0, covered^2 / noise, 0)
  corrected <- e - pmax(slopes, 0) * certain / (certain + 2) * q
  total <- max(sum(corrected * (sizes / pmax(taken, 1))[h]), sum(yes[read]))
  variance <- sum(centred(corrected)^2 * scale) + total * (1 - total / count)
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
