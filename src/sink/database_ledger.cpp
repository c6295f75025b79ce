// The functions that are called here are in sql/91_sinks.sql and the two after it. Every value is a parameter.
#include <unistd.h>

#include "core/sink_document.hpp"
#include "sink/ledger.hpp"
#include "sink/source.hpp"

namespace meridian::sink {
namespace {

constexpr const char* settings =
    "options='-c search_path=pg_catalog -c statement_timeout=60s -c lock_timeout=5s -c synchronous_commit=on' "
    "client_encoding=UTF8 application_name='meridian sink'";
constexpr std::string_view lock_not_available = "55P03";
constexpr std::string_view query_canceled = "57014";

std::string text_of(const SinkEvent& event) {
  cdc::Buffer text;
  cdc::write_position(text, event.position, event.end_lsn);
  return std::string(text.view());
}

using Parameter = std::optional<std::string>;

Result run(PGconn* connection, const char* statement, const std::vector<Parameter>& parameters) {
  std::vector<const char*> values;
  for (const Parameter& parameter : parameters) values.push_back(parameter ? parameter->c_str() : nullptr);
  Result result(PQexecParams(connection, statement, static_cast<int>(values.size()), nullptr, values.data(), nullptr,
                             nullptr, 0));
  if (PQresultStatus(result.get()) != PGRES_TUPLES_OK) throw failure_of(connection, result.get());
  return result;
}

Parameter value(const Result& result, int row, int column) {
  if (PQgetisnull(result.get(), row, column) != 0) return std::nullopt;
  return std::string(PQgetvalue(result.get(), row, column),
                     static_cast<std::size_t>(PQgetlength(result.get(), row, column)));
}

class DatabaseLedger final : public Ledger {
 public:
  explicit DatabaseLedger(const Options& options)
      : connection_(connect(options.dsn, settings)), name_(options.name), generation_(options.generation) {
    run("SELECT meridian.sink_started($1, $2)", {name_, std::to_string(getpid())});
  }

  std::optional<cdc::Position> position() override {
    const Result result = run("SELECT meridian.sink_position($1)", {name_});
    const Parameter text = value(result, 0, 0);
    if (!text) return std::nullopt;
    const auto parsed = cdc::parse_position(*text);
    if (!parsed) throw SourceError("the sink's position in the database is malformed", "XX001");
    return parsed->position;
  }

  void advance(const SinkEvent& last, const Counts& counts) override {
    run("SELECT meridian.sink_advanced($1, $2, $3, $4, $5, $6, $7)",
        {name_, text_of(last), std::to_string(counts.events), std::to_string(counts.bytes),
         std::to_string(counts.batches), std::to_string(counts.retries), std::to_string(counts.skipped)});
  }

  void report(const std::string& state, const std::string& error) override {
    run("SELECT meridian.sink_reported($1, $2, $3)", {name_, state, error.empty() ? Parameter{} : Parameter(error)});
  }

  void put_aside(const SinkEvent& event, const std::string& reason) override {
    run("SELECT meridian.put_dead_letter($1, $2, $3, $4, $5, $6, $7)",
        {name_, text_of(event), event.topic, event.key, event.value, event.headers, reason});
  }

  std::vector<SinkEvent> aside() override {
    const Result result = run("SELECT topic, key FROM meridian.keys_put_aside($1)", {name_});
    std::vector<SinkEvent> events;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      events.push_back({{}, 0, value(result, row, 0).value_or(""), value(result, row, 1), std::nullopt, std::nullopt});
    }
    return events;
  }

  void supersede(const SinkEvent& event) override {
    run("SELECT meridian.supersede_dead_letters($1, $2, $3)", {name_, event.topic, event.key});
  }

  Wish wish() override {
    const Result result = run("SELECT meridian.sink_wish($1)", {name_});
    const Parameter wish = value(result, 0, 0);
    if (!wish || *wish == "end") return Wish::end;
    return *wish == "pause" ? Wish::pause : Wish::run;
  }

  std::vector<DeadLetter> asked_again() override {
    const Result result =
        run("SELECT id, event_position, topic, event_key, event_value, headers FROM meridian.dead_letters_to_retry($1)",
            {name_});
    std::vector<DeadLetter> letters;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      const auto position = cdc::parse_position(value(result, row, 1).value_or(""));
      if (!position) continue;
      letters.push_back({std::stoll(*value(result, row, 0)),
                         {position->position, 0, value(result, row, 2).value_or(""), value(result, row, 3),
                          value(result, row, 4), value(result, row, 5)}});
    }
    return letters;
  }

  void settle(std::int64_t dead_letter, const Outcome& outcome) override {
    run("SELECT meridian.settle_dead_letter($1, $2, $3)",
        {std::to_string(dead_letter), outcome.kind == Outcome::Kind::delivered ? "true" : "false", outcome.reason});
  }

  std::optional<SnapshotTask> next_snapshot() override {
    const Result result =
        run("SELECT rel, row_key, asked_at FROM meridian.next_snapshot($1, $2)", {name_, std::to_string(generation_)});
    if (PQntuples(result.get()) == 0) return std::nullopt;
    return SnapshotTask{value(result, 0, 0).value_or(""), value(result, 0, 1), value(result, 0, 2).value_or("")};
  }

  std::optional<Chunk> read_chunk(const SnapshotTask& task, const std::string& label) override {
    try {
      const Result result = run("SELECT topic, key, value, row_key FROM meridian.read_sink_chunk($1, $2, $3)",
                                {name_, task.table, label});
      Chunk chunk;
      chunk.read = static_cast<std::uint64_t>(PQntuples(result.get()));
      for (int row = 0; row < PQntuples(result.get()); ++row) {
        chunk.row_key = value(result, row, 3);
        if (const Parameter topic = value(result, row, 0)) {
          chunk.rows.push_back({{}, 0, *topic, value(result, row, 1), value(result, row, 2), std::nullopt});
        }
      }
      return chunk;
    } catch (const SourceError& error) {
      if (PQstatus(connection_.get()) != CONNECTION_OK) throw;
      if (error.sqlstate != lock_not_available && error.sqlstate != query_canceled) {
        run("SELECT meridian.snapshot_failed($1, $2, $3)", {name_, task.table, error.what()});
      }
      return std::nullopt;
    }
  }

  void snapshot_advanced(const SnapshotTask& task, const Chunk& chunk) override {
    run("SELECT meridian.snapshot_advanced($1, $2, $3, $4, $5, $6)",
        {name_, task.table, task.asked_at, task.row_key, chunk.row_key, std::to_string(chunk.read)});
  }

  std::optional<ResnapshotTask> resnapshot() override {
    const Result result =
        run("SELECT generation, since, age_s, mark, is_marked, has_rows, blocked_by FROM meridian.resnapshot_task($1)",
            {name_});
    if (PQntuples(result.get()) == 0) return std::nullopt;
    ResnapshotTask task;
    task.generation = std::stoull(*value(result, 0, 0));
    const auto since = cdc::parse_lsn(*value(result, 0, 1));
    if (!since) throw SourceError("the position of a re-snapshot in the database is malformed", "XX001");
    task.since = *since;
    task.age_s = std::stoll(*value(result, 0, 2));
    task.mark = value(result, 0, 3).value_or("");
    task.is_marked = value(result, 0, 4) == "t";
    task.has_rows = value(result, 0, 5) == "t";
    task.blocked_by = value(result, 0, 6).value_or("");
    return task;
  }

  std::vector<SinkTable> resnapshot_tables() override {
    const Result result =
        run("SELECT topic, key_row, old_row, truncation FROM meridian.resnapshot_tables($1)", {name_});
    std::vector<SinkTable> tables;
    for (int row = 0; row < PQntuples(result.get()); ++row) {
      SinkTable table{*value(result, row, 0),
                      "",
                      "",
                      value(result, row, 1),
                      value(result, row, 2).value_or("{}"),
                      value(result, row, 3).value_or("")};
      if (const auto named = parse_table_of(table.truncation)) {
        table.schema = named->schema;
        table.table = named->table;
      }
      tables.push_back(std::move(table));
    }
    return tables;
  }

  void resnapshot_marked(const ResnapshotTask& task, const std::optional<std::string>& mark) override {
    run("SELECT meridian.resnapshot_marked($1, $2, $3)", {name_, std::to_string(task.generation), mark});
  }
  void resnapshot_removed(const ResnapshotTask& task, std::uint64_t rows) override {
    tell(task, rows, std::nullopt, false);
  }
  void resnapshot_put_off(const ResnapshotTask& task, const std::string& reason) override {
    tell(task, 0, reason, false);
  }
  void resnapshot_ended(const ResnapshotTask& task, const std::string& error) override {
    tell(task, 0, error.empty() ? Parameter{} : Parameter(error), true);
  }

 private:
  Result run(const char* statement, const std::vector<Parameter>& parameters) {
    return sink::run(connection_.get(), statement, parameters);
  }

  void tell(const ResnapshotTask& task, std::uint64_t removed, const Parameter& error, bool has_ended) {
    run("SELECT meridian.resnapshot_reported($1, $2, $3, $4, $5)",
        {name_, std::to_string(task.generation), std::to_string(removed), error, has_ended ? "true" : "false"});
  }

  Connection connection_;
  std::string name_;
  std::uint64_t generation_;
};

}  // namespace

Options read_options(const std::string& dsn, const std::string& name) {
  const Connection connection = connect(dsn, settings);
  const Result result = run(connection.get(), "SELECT option, value FROM meridian.sink_options($1)", {name});
  std::map<std::string, std::string> given;
  for (int row = 0; row < PQntuples(result.get()); ++row)
    given[*value(result, row, 0)] = value(result, row, 1).value_or("");
  if (given.empty()) throw OptionError("there is no sink \"" + name + "\" in the database");
  given["name"] = name;
  given["dsn"] = dsn;
  return Options::from_map(std::move(given));
}

std::unique_ptr<Ledger> open_database_ledger(const Options& options) {
  return std::make_unique<DatabaseLedger>(options);
}

}  // namespace meridian::sink
