#include "pg/history_retention.hpp"

#include "pg/support/postgres.hpp"

namespace meridian::pg {

void keep_history() {
  SPI_connect();
  const int outcome = SPI_execute("SELECT meridian.keep_conflicts(pg_catalog.now())", false, 0);
  if (outcome != SPI_OK_SELECT) elog(ERROR, "SPI_execute returned %s", SPI_result_code_string(outcome));
  SPI_finish();
}

}  // namespace meridian::pg
