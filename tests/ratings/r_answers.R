# Answers of R to problems that test_*.py here states in Python as well. To make them anew:
#
#   EN_LIB=EN_lib.R Rscript tests/ratings/r_answers.R > tests/ratings/r_answers.json
#
# EN_lib.R: the authors' code of Xia, He, Li and Kalbfleisch (2022), github.com/luxia-bios/Empirical-Null,
# commit 1ce707429a862335dbe96ce4fe03399d0a7f2c48. No random numbers: the problems are formulas.
suppressPackageStartupMessages({library(MASS); library(jsonlite)})

# Two hundred units: sizes 10 to 209 in a scrambled order, z-scores whose variance is 1 + size / 50, and ten
# outliers.
N <- 200
size <- 10 + (seq_len(N) * 37) %% N
rank <- 1 + (seq_len(N) * 71) %% N
z <- 0.3 + qnorm((rank - 0.5) / N) * sqrt(1 + size / 50)
z[seq(1, 181, by = 20)] <- z[seq(1, 181, by = 20)] - 9

m <- rlm(z ~ 1, method = "M", maxit = 500, acc = 1e-13, scale.est = "MAD", psi = psi.huber)

source(Sys.getenv("EN_LIB"))
ordered <- data.frame(zscore = z, size = size)[order(size), ]
split <- estVar_split(ordered, 4, method = "m", scale.est = "MAD", psi = psi.huber)
sized <- irw.group.var(split, niter = 500, tol = 1e-13, fixedInt = TRUE, xlabel = "mean")

# Intervals of counts and of proportions.
O <- c(0, 1, 2, 5, 10, 37, 250)
E <- c(1.3, 1, 4.5, 3.2, 14, 30.5, 251.7)
ratio <- function(level) sapply(seq_along(O), function(i) poisson.test(O[i], E[i], conf.level = level)$conf.int)
x <- c(0, 1, 5, 17, 40); n <- c(7, 12, 10, 60, 40)
proportion <- function(level) sapply(seq_along(x), function(i) binom.test(x[i], n[i], conf.level = level)$conf.int)

# Fleiss (1981), table 14.4: Down's syndrome by birth order (columns) and mother's age (rows), Michigan.
births <- matrix(c(230061, 329449, 114920, 39487, 14208, 3052, 72202, 326701, 208667, 83228, 28466, 5375,
  15050, 175702, 207081, 117300, 45026, 8660, 2293, 68800, 132424, 98301, 46075, 9834,
  327, 30666, 123419, 149919, 104088, 34392), 6)
cases <- matrix(c(107, 141, 60, 40, 39, 25, 25, 150, 110, 84, 82, 39, 3, 71, 114, 103, 108, 75,
  1, 26, 64, 89, 137, 96, 0, 8, 63, 112, 262, 295), 6)
standard <- c(319933, 931318, 786511, 488235, 237863, 61313)
# ageadjust.direct of epitools 0.5-10.1.
direct <- function(count, pop) {
  w <- standard / sum(standard); dsr <- sum(w * count / pop); v <- sum(w^2 * count / pop^2); wm <- max(w / pop)
  c(dsr, qgamma(0.025, shape = dsr^2 / v, scale = v / dsr),
    qgamma(0.975, shape = (dsr + wm)^2 / (v + wm^2), scale = (v + wm^2) / (dsr + wm)))
}

p <- c(.0001, .0004, .0019, .0095, .0201, .0278, .0298, .0344, .0459, .3240, .4262, .5719, .6528, .7590, 1)

answers <- list(
  R = R.version.string, MASS = as.character(packageVersion("MASS")),
  rlm = c(coef(m), m$s), split_variance = split$var_est, split_size = split$mean_size, slope = unname(sized$coef),
  poisson_95 = ratio(0.95), poisson_90 = ratio(0.9), binomial_95 = proportion(0.95),
  direct = sapply(1:5, function(j) direct(cases[, j], births[, j])),
  bh = p.adjust(p, "BH"), by = p.adjust(p, "BY")
)
cat(toJSON(answers, digits = 15, auto_unbox = TRUE, pretty = TRUE), "\n")
