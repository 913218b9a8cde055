# Stability by other people's programs: fpc::clusterboot (Hennig 2007), and segment level stability within solutions from the
# text of Dolnicar & Leisch (2017), with R's own kmeans. Rscript stability_oracle.R FILE K B LABELS [once] -> lines of numbers.
# FILE: a matrix of numbers; LABELS: the segments to hold replicates against, one a line, from 0.
arguments <- commandArgs(trailingOnly = TRUE)
x <- as.matrix(read.table(arguments[1]))
k <- as.integer(arguments[2])
B <- as.integer(arguments[3])
labels <- scan(arguments[4], quiet = TRUE) + 1
say <- function(name, v) cat(name, sprintf("%.17g", v), "\n")

# The best of 20 starts by k-means++ (Arthur & Vassilvitskii 2007): with random starts the search, not the sample, would decide.
search <- function(data) {
  best <- NULL
  for (start in 1:20) {
    rows <- sample(nrow(data), 1)
    near <- rep(Inf, nrow(data))
    while (length(rows) < k) {
      near <- pmin(near, colSums((t(data) - data[rows[length(rows)], ])^2))
      rows <- c(rows, sample(nrow(data), 1, prob = near))
    }
    fit <- suppressWarnings(try(kmeans(data, data[rows, ], iter.max = 100), silent = TRUE))
    if (!inherits(fit, "try-error") && (is.null(best) || fit$tot.withinss < best$tot.withinss)) best <- fit
  }
  best
}

# The first fit of clusterboot is of all rows: give it the labels at hand, so that the same segments are judged.
fit <- function(data, ...) {
  if (nrow(data) == nrow(x) && identical(unname(data), unname(x))) {
    result <- list(cluster = labels)
    nc <- k
  } else {
    result <- search(data)
  }
  part <- result$cluster
  list(result = result, nc = k, clusterlist = lapply(1:k, function(j) part == j), partition = part,
       clustermethod = "kmeans")
}
set.seed(1)
for (multiple in if (length(arguments) > 4) c(TRUE, FALSE) else TRUE) {
  b <- suppressWarnings(fpc::clusterboot(x, B = B, bootmethod = "boot", multipleboot = multiple, clustermethod = fit,
                                         count = FALSE))
  name <- if (multiple) "multiple" else "once"
  say(paste0(name, "_mean"), b$bootmean)
  say(paste0(name, "_sd"), apply(b$bootresult, 1, sd))
  say(paste0(name, "_recovered"), b$bootrecover / B)
  say(paste0(name, "_dissolved"), b$bootbrd / B)
}

nearest <- function(centers) max.col(-outer(rowSums(x^2), rowSums(centers^2), "+") + 2 * x %*% t(centers), "first")
best <- function(part) sapply(1:k, function(j) max(sapply(1:k, function(i) {
  sum(labels == j & part == i) / sum(labels == j | part == i)
})))
rand <- function(a, b) { # Hubert & Arabie 1985
  t <- table(a, b)
  pairs <- function(v) sum(v * (v - 1) / 2)
  expected <- pairs(rowSums(t)) * pairs(colSums(t)) / pairs(length(a))
  (pairs(t) - expected) / ((pairs(rowSums(t)) + pairs(colSums(t))) / 2 - expected)
}
pairs <- matrix(0, k, B %/% 2)
ari <- numeric(0)
for (p in seq_len(B %/% 2)) {
  for (one in 1:2) {
    rows <- sample(nrow(x), replace = TRUE)
    part <- nearest(search(x[rows, ])$centers)
    pairs[, p] <- pairs[, p] + best(part) / 2
    drawn <- unique(rows)
    ari <- c(ari, rand(labels[drawn], part[drawn]))
  }
}
say("within_mean", rowMeans(pairs))
say("within_sd", apply(pairs, 1, sd))
say("ari_mean", mean(ari))
say("ari_sd", sd(ari))
