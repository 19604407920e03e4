# Analyses with the label as outcome again with PPI++ (Angelopoulos, Duchi and Zrnic) as the R package ipd has it.
#
#     install.packages("ipd")
#     Rscript ppi.R
#
# ipd weighs texts by 1 / inclusion and knows neither strata nor clusters: where texts of a cluster hang together its errors are
# too small. It has no labels as covariates; those analyses are passed over.

library(ipd)
here <- sub("^--file=", "", grep("^--file=", commandArgs(FALSE), value = TRUE))
if (length(here) == 1) setwd(dirname(normalizePath(here)))
read <- function(name) {
  read.csv(name, colClasses = "character", check.names = FALSE, na.strings = character(0), encoding = "UTF-8")
}
texts <- read("texts.csv")
analyses <- read("analyses.csv")
number_of <- function(values) suppressWarnings(as.numeric(values))

for (n in unique(analyses$analysis)) {
  rows <- analyses[analyses$analysis == n, ]
  if (rows$type[1] != "label" || any(rows$type[-1] == "label")) next
  use <- texts[[paste("asked", n, sep = ".")]] == "1"
  labelled <- texts[[paste("read", n, sep = ".")]][use] == "1"
  x <- do.call(cbind, lapply(seq_len(nrow(rows))[-1], function(i) {
    if (rows$role[i] == "intercept") return(rep(1, sum(use)))
    values <- texts[[paste("column", rows$variable[i], sep = ".")]][use]
    if (rows$type[i] == "level") as.numeric(values == rows$level[i]) else number_of(values)
  }))
  y <- number_of(texts[[paste("expert", rows$variable[1], sep = ".")]][use])
  f <- number_of(texts[[paste("predicted", n, rows$variable[1], sep = ".")]][use])
  w <- 1 / number_of(texts[[paste("inclusion", n, sep = ".")]][use][labelled])
  fit <- if (rows$link[1] == "logistic") ppi_plusplus_logistic else ppi_plusplus_ols
  found <- fit(
    X_l = x[labelled, , drop = FALSE], Y_l = matrix(y[labelled], ncol = 1), f_l = matrix(f[labelled], ncol = 1),
    X_u = x, f_u = matrix(f, ncol = 1), w_l = w / mean(w)
  )
  cat("\nanalysis", n, rows$link[1], "\n")
  print(data.frame(
    name = rows$name[-1], remand = number_of(rows$estimate[-1]), remand_error = number_of(rows$standard_error[-1]),
    ppi = as.numeric(found$est), ppi_error = as.numeric(found$se)
  ), row.names = FALSE)
}
