// Early return for absl::Status and absl::StatusOr.
//
//   RETURN_IF_ERROR(file.Close());
//   ASSIGN_OR_RETURN(std::string text, ReadFile(path));
#pragma once

#include <utility>

#include "absl/status/status.h"
#include "absl/status/statusor.h"

#define BITQUAKE_CONCAT_INNER_(a, b) a##b
#define BITQUAKE_CONCAT_(a, b) BITQUAKE_CONCAT_INNER_(a, b)

#define RETURN_IF_ERROR(expr)               \
  do {                                      \
    absl::Status bitquake_status_ = (expr); \
    if (!bitquake_status_.ok()) {           \
      return bitquake_status_;              \
    }                                       \
  } while (false)

#define ASSIGN_OR_RETURN(lhs, expr) \
  ASSIGN_OR_RETURN_IMPL_(BITQUAKE_CONCAT_(bitquake_statusor_, __LINE__), lhs, expr)

#define ASSIGN_OR_RETURN_IMPL_(statusor, lhs, expr) \
  auto statusor = (expr);                           \
  if (!statusor.ok()) {                             \
    return std::move(statusor).status();            \
  }                                                 \
  lhs = std::move(statusor).value()
