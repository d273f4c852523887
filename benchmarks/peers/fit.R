# Rscript fit.R TABLE.csv METHOD OUT.csv: fits y ~ columns + (1 | therapist) [+ (1 | service)] and writes its estimates.
arguments <- commandArgs(TRUE)
method <- arguments[2]
table <- read.csv(arguments[1])
table$therapist <- factor(table$therapist)
table$service <- factor(table$service)
columns <- setdiff(names(table), c("y", "therapist", "service"))
factors <- if (method == "glmer_9") "(1 | therapist)" else "(1 | therapist) + (1 | service)"
model <- as.formula(paste("y ~", paste(c(columns, factors), collapse = " + ")))
package <- if (method == "glmmTMB") "glmmTMB" else "lme4"
suppressMessages(library(package, character.only = TRUE))
control <- if (package == "lme4") glmerControl(optimizer = "bobyqa", calc.derivs = FALSE)
start <- proc.time()
fit <- switch(method,
  glmer = glmer(model, table, family = binomial, control = control),
  glmer_9 = glmer(model, table, family = binomial, nAGQ = 9, control = control),
  glmmTMB = glmmTMB(model, table, family = binomial, control = glmmTMBControl(parallel = 1)))
# With the standard errors, which either program computes when it is asked for them.
beta <- if (package == "lme4") fixef(fit) else fixef(fit)$cond
covariance <- as.matrix(if (package == "lme4") vcov(fit) else vcov(fit)$cond)
took <- proc.time() - start
random <- if (package == "lme4") VarCorr(fit) else VarCorr(fit)$cond
sd <- sapply(c("therapist", "service"), function(g) if (is.null(random[[g]])) NA else attr(random[[g]], "stddev"))
write.csv(data.frame(
  name = c(names(beta), "sd_therapist", "sd_service", "loglik", "wall", "cpu"),
  value = c(beta, sd, as.numeric(logLik(fit)), took[3], took[1] + took[2]),
  se = c(sqrt(diag(covariance)), rep(NA, 5)),
  version = paste(package, packageVersion(package))
), arguments[3], row.names = FALSE)
