# The regressions again with the R package dsl (Egami, Hinck, Stewart and Wei), by its authors.
#
#     remotes::install_github("naoki-egami/dsl")
#     Rscript dsl.R
#
# The same idea and the same data, another program: dsl crosses its own fits of the labels over several random splits and knows
# nothing of strata, so that its numbers come near those of analyses.csv and are not equal to them.

library(dsl)
here <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
if (length(here) == 1) setwd(dirname(normalizePath(here)))
read <- function(name) {
  read.csv(name, colClasses = "character", check.names = FALSE, na.strings = character(0), encoding = "UTF-8")
}
texts <- read("texts.csv")
analyses <- read("analyses.csv")
number_of <- function(values) suppressWarnings(as.numeric(values))

for (n in unique(analyses$analysis[analyses$kind != "prevalence"])) {
  rows <- analyses[analyses$analysis == n, ]
  use <- texts[[paste("asked", n, sep = ".")]] == "1"
  labelled <- texts[[paste("read", n, sep = ".")]][use] == "1"
  data <- data.frame(
    cluster = texts$cluster[use], labelled = as.numeric(labelled),
    sample_prob = pmin(1, number_of(texts[[paste("inclusion", n, sep = ".")]][use])) # of several samples 1 / weight, where read
  )
  terms <- character(0)
  labels <- character(0)
  predictions <- character(0)
  covariates <- character(0)
  for (i in seq_len(nrow(rows))) {
    row <- rows[i, ]
    if (row$role == "intercept") next
    name <- paste0("v", i)
    if (row$type == "label") {
      values <- number_of(texts[[paste("expert", row$variable, sep = ".")]][use])
      values[!labelled] <- NA
      guess <- paste0("p", i)
      data[[guess]] <- number_of(texts[[paste("predicted", n, row$variable, sep = ".")]][use])
      labels <- c(labels, name)
      predictions <- c(predictions, guess)
    } else {
      values <- texts[[paste("column", row$variable, sep = ".")]][use]
      values <- if (row$type == "level") as.numeric(values == row$level) else number_of(values)
      covariates <- c(covariates, name)
    }
    data[[name]] <- values
    terms <- c(terms, name)
  }
  arguments <- list(
    model = if (rows$link[1] == "logistic") "logit" else "lm",
    formula = as.formula(paste(terms[1], "~", paste(terms[-1], collapse = " + "))),
    predicted_var = labels, prediction = predictions, data = data, cluster = "cluster", labeled = "labelled",
    sample_prob = "sample_prob", seed = 1234
  )
  if (length(covariates) > 0) arguments$feature <- covariates
  fit <- do.call(dsl, arguments)
  cat("\nanalysis", n, rows$link[1], "\n")
  print(data.frame(
    name = rows$name[-1], remand = number_of(rows$estimate[-1]), remand_error = number_of(rows$standard_error[-1]),
    dsl = unname(fit$coefficients), dsl_error = unname(fit$standard_errors)
  ), row.names = FALSE)
}
