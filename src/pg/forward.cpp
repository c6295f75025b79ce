// Statements in another region: meridian.execute_at(), and rows that are written away from home (forward_row.cpp).
//
// Who connects. The login is the caller's own: a user mapping of a foreign server that is named like the region, of the
// wrapper meridian_forward. The address is that of the region's primary, unless the server's options give one. Users
// who are no superusers must have a password in the mapping, and the other server must have asked for it: else they
// would use the rights of this server's account.
//
// Connections belong to the backend, one for each login and region, and are made anew when the address or the login has
// changed. What a statement leaves in its session (SET, temporary tables) stays there.
//
// The statement runs in a transaction of its own. It cannot be part of the local one, so it is refused in a transaction
// that has written. When the answer does not come, nobody knows whether it was executed.
//
// Lanes: the login and the caller are read in the glue lane into a Request; the core lane talks to the other server and
// leaves texts in the caller's memory, errors too.
#include "pg/forward.hpp"

#include <string_view>

#include "core/json_rows.hpp"
#include "core/json_string.hpp"
#include "pg/errors.hpp"
#include "pg/home_map.hpp"
#include "pg/setup/conninfo.hpp"
#include "pg/setup/error.hpp"
#include "pg/setup/session.hpp"
#include "pg/support/function.hpp"
#include "pg/token.hpp"

namespace meridian::pg {

int forward_timeout_ms;
bool forward_after_write;

namespace {

using setup::Clock;
using setup::milliseconds;
using setup::SetupError;

constexpr std::size_t most_result_bytes = std::size_t{64} * 1024 * 1024;
constexpr std::size_t most_links = 16;
constexpr char wrapper_name[] = "meridian_forward";

/// What is to be done, in PostgreSQL's memory.
struct Request {
  const char* region;
  const char* sql;
  int count;
  const char** values;  ///< null: NULL
  Oid role;
  bool superuser;
  int option_count;
  const char** keywords;
  const char** options;
  const char* encoding;
};

/// What came of it; texts in the caller's memory.
struct Outcome {
  RemoteResult result;
  const char* sqlstate;  ///< not null: an error
  const char* message;
  const char* detail;
  const char* hint;
};

// --- core lane ---

class Link {
 public:
  Link(Oid role, std::string region) : role_(role), region_(std::move(region)), session_({}, nullptr) {}

  [[nodiscard]] bool is_for(const Request& request) const { return role_ == request.role && region_ == request.region; }
  void execute(const Request& request, std::string& rows, std::string& command, std::string& token);

 private:
  using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

  void connect(const Request& request);
  void run(const Request& request, std::string& rows, std::string& command);
  Result next();
  void wait(setup::Session::Direction direction);
  void append_rows(const PGresult* result, std::string& rows);
  void close() { handle_.reset(); }
  [[nodiscard]] SetupError error_of(const PGresult* result) const;
  [[noreturn]] void fail_connection(bool sent) const;

  Oid role_;
  std::string region_;
  setup::Session session_;
  setup::Parameters parameters_;
  setup::Handle handle_{nullptr, PQfinish};
  Clock::time_point end_{};
  bool sent_ = false;
};

std::string field(const PGresult* result, int code) {
  const char* const text = PQresultErrorField(result, code);
  return text == nullptr ? std::string() : text;
}

/// The other server's error, as it is. Throws if it is libpq's own.
SetupError Link::error_of(const PGresult* result) const {
  const std::string code = field(result, PG_DIAG_SQLSTATE);
  if (code.size() != 5) fail_connection(true);
  return {code, field(result, PG_DIAG_MESSAGE_PRIMARY), field(result, PG_DIAG_MESSAGE_DETAIL),
          field(result, PG_DIAG_MESSAGE_HINT)};
}

void Link::fail_connection(bool sent) const {
  if (sent) {
    throw SetupError("08007", "lost the connection to region \"" + region_ + "\" before the statement was answered",
                     "It may have been executed.", "Look there before it is repeated.");
  }
  // libpq's text names host and user, which the caller may not know, and never a password.
  throw SetupError("08001", "could not connect to region \"" + region_ + "\"",
                   setup::trimmed(PQerrorMessage(handle_.get())),
                   "See meridian.nodes, and the options of the server and the user mapping.");
}

void Link::wait(setup::Session::Direction direction) {
  const auto left = std::chrono::duration_cast<milliseconds>(end_ - Clock::now());
  if (left.count() <= 0) {
    throw SetupError(sent_ ? "57014" : "08001", "region \"" + region_ + "\" did not answer in time",
                     sent_ ? "The statement was cancelled; it may have been executed." : std::string(),
                     "See meridian.forward_timeout.");
  }
  session_.wait_socket(PQsocket(handle_.get()), direction, std::min(left, milliseconds(1000)));
}

void Link::connect(const Request& request) {
  setup::Parameters wanted;
  for (int i = 0; i < request.option_count; ++i) wanted.emplace_back(request.keywords[i], request.options[i]);
  wanted.emplace_back("client_encoding", request.encoding);
  wanted.emplace_back("application_name", forward_application_name);
  wanted.emplace_back("keepalives_idle", "10");
  wanted.emplace_back("keepalives_interval", "5");
  wanted.emplace_back("keepalives_count", "3");
  // The first read takes the message of a server that closed the connection, the second finds the end.
  const auto is_open = [this] {
    return PQconsumeInput(handle_.get()) != 0 && PQconsumeInput(handle_.get()) != 0 &&
           PQstatus(handle_.get()) == CONNECTION_OK && PQtransactionStatus(handle_.get()) == PQTRANS_IDLE;
  };
  const bool usable =
      handle_ != nullptr && PQstatus(handle_.get()) == CONNECTION_OK && wanted == parameters_ && is_open();
  if (usable) return;
  parameters_ = std::move(wanted);
  handle_ = setup::begin_connecting(parameters_);
  setup::finish_connecting(handle_.get(), [this](bool reads) {
    wait(reads ? setup::Session::Direction::read : setup::Session::Direction::write);
  });
  if (PQstatus(handle_.get()) != CONNECTION_OK) fail_connection(false);
  if (!request.superuser && PQconnectionUsedPassword(handle_.get()) == 0) {
    throw SetupError("2F003", "password is required",
                     "Region \"" + region_ + "\" let the login in without its password.",
                     "Let that server ask for it (pg_hba.conf).");
  }
  PQsetnonblocking(handle_.get(), 1);
}

Link::Result Link::next() {
  while (PQisBusy(handle_.get()) != 0) {
    wait(setup::Session::Direction::read);
    if (PQconsumeInput(handle_.get()) == 0) fail_connection(true);
  }
  return {PQgetResult(handle_.get()), PQclear};
}

void Link::append_rows(const PGresult* result, std::string& rows) {
  for (int row = 0; row < PQntuples(result); ++row) {
    rows += rows.size() > 1 ? ", {" : "{";
    for (int column = 0; column < PQnfields(result); ++column) {
      if (column > 0) rows += ", ";
      append_json_string(rows, PQfname(result, column));
      rows += ": ";
      if (PQgetisnull(result, row, column) != 0) {
        rows += "null";
      } else {
        const std::string_view text(PQgetvalue(result, row, column),
                                    static_cast<std::size_t>(PQgetlength(result, row, column)));
        append_json_value(rows, text, json_form_of(PQftype(result, column)));
      }
    }
    rows += '}';
  }
  if (rows.size() > most_result_bytes) {
    throw SetupError("54000", "the rows from region \"" + region_ + "\" take more than 64 MB",
                     "If the statement changes data, it was cancelled and nothing is changed, or it was executed.",
                     "Read them over a connection of your own.");
  }
}

void Link::run(const Request& request, std::string& rows, std::string& command) {
  if (PQsendQueryParams(handle_.get(), request.sql, request.count, nullptr, request.values, nullptr, nullptr, 0) == 0)
    fail_connection(false);
  sent_ = true;
  PQsetSingleRowMode(handle_.get());
  for (int pending = PQflush(handle_.get()); pending != 0; pending = PQflush(handle_.get())) {
    if (pending < 0) fail_connection(true);
    wait(setup::Session::Direction::both);
    if (PQconsumeInput(handle_.get()) == 0) fail_connection(true);
  }
  std::optional<SetupError> error;
  for (Result result = next(); result; result = next()) {
    switch (PQresultStatus(result.get())) {
      case PGRES_SINGLE_TUPLE:
      case PGRES_TUPLES_OK:
        append_rows(result.get(), rows);
        command = PQcmdStatus(result.get());
        break;
      case PGRES_COMMAND_OK:
        command = PQcmdStatus(result.get());
        break;
      case PGRES_COPY_IN:
      case PGRES_COPY_OUT:
      case PGRES_COPY_BOTH:
        throw SetupError("0A000", "COPY cannot be run in another region", {}, "Use INSERT or SELECT.");
      default:
        if (!error) error = error_of(result.get());
    }
  }
  if (error) throw *error;
  if (PQtransactionStatus(handle_.get()) != PQTRANS_IDLE) {
    throw SetupError("25001", "the statement left a transaction open in region \"" + region_ + "\"",
                     "The connection was closed, so it is rolled back.",
                     "execute_at() runs one statement in a transaction of its own.");
  }
}

void Link::execute(const Request& request, std::string& rows, std::string& command, std::string& token) {
  end_ = Clock::now() + milliseconds(forward_timeout_ms);
  sent_ = false;
  bool done = false;
  // Whatever goes wrong between sending and the last result, an interrupt of this backend included, leaves a
  // connection in an unknown state.
  const auto drop_unless_done = [this, &done](void*) {
    if (done) return;
    if (sent_ && handle_ != nullptr && PQtransactionStatus(handle_.get()) == PQTRANS_ACTIVE) {
      char ignored[256];
      PGcancel* const cancel = PQgetCancel(handle_.get());
      if (cancel != nullptr) PQcancel(cancel, ignored, sizeof ignored);
      PQfreeCancel(cancel);
    }
    close();
  };
  const std::unique_ptr<void, decltype(drop_unless_done)> guard(this, drop_unless_done);
  connect(request);
  const auto reported = [this] {
    const char* const text = PQparameterStatus(handle_.get(), "meridian.last_write");
    return text == nullptr ? std::string() : std::string(text);
  };
  const std::string before = reported();
  try {
    run(request, rows, command);
  } catch (const SetupError&) {
    // An error of the statement itself leaves the connection in order.
    done = PQstatus(handle_.get()) == CONNECTION_OK && PQtransactionStatus(handle_.get()) == PQTRANS_IDLE &&
           PQisBusy(handle_.get()) == 0;
    throw;
  }
  done = true;
  if (reported() != before) token = reported();
}

/// Of this backend; the one that was used last comes last.
std::vector<std::unique_ptr<Link>>* links = nullptr;

Link& link_for(const Request& request) {
  if (links == nullptr) links = new std::vector<std::unique_ptr<Link>>;
  const auto found = std::ranges::find_if(*links, [&](const auto& link) { return link->is_for(request); });
  if (found != links->end()) {
    std::rotate(found, found + 1, links->end());
  } else {
    if (links->size() == most_links) links->erase(links->begin());
    links->push_back(std::make_unique<Link>(request.role, request.region));
  }
  return *links->back();
}

const char* kept(const std::string& text) {
  const char* const data = text.c_str();
  return call([data] { return static_cast<const char*>(pstrdup(data)); });
}

void execute(const Request& request, Outcome* outcome) {
  std::string rows = "[";
  std::string command;
  std::string token;
  try {
    link_for(request).execute(request, rows, command, token);
  } catch (const SetupError& error) {
    outcome->sqlstate = kept(error.sqlstate());
    outcome->message = kept(error.what());
    outcome->detail = kept(error.detail());
    outcome->hint = kept(error.hint());
    return;
  }
  rows += ']';
  outcome->result = {kept(rows), kept(command), kept(token)};
}

// --- glue lane ---

/// Options that connections may be made with.
bool is_option(Oid catalog, std::string_view name) {
  constexpr std::string_view of_servers[] = {"host", "port", "dbname", "sslmode", "sslrootcert", "connect_timeout"};
  constexpr std::string_view of_mappings[] = {"user", "password"};
  if (catalog == ForeignServerRelationId) return std::ranges::find(of_servers, name) != std::end(of_servers);
  return catalog == UserMappingRelationId && std::ranges::find(of_mappings, name) != std::end(of_mappings);
}

struct Options {
  int count;
  const char* keywords[16];
  const char* values[16];

  void set(const char* keyword, const char* value) {
    for (int i = 0; i < count; ++i) {
      if (std::strcmp(keywords[i], keyword) != 0) continue;
      values[i] = value;
      return;
    }
    if (count == static_cast<int>(std::size(keywords))) elog(ERROR, "too many options");
    keywords[count] = keyword;
    values[count++] = value;
  }
  void set_all(Oid catalog, const List* list) {
    ListCell* cell = nullptr;
    foreach (cell, list) {
      auto* const option = static_cast<DefElem*>(lfirst(cell));
      if (is_option(catalog, option->defname)) set(option->defname, defGetString(option));
    }
  }
};

// Core lane. What the address of the region's primary says of host, port and database.
void read_address(const char* address, Options* options) {
  const setup::Conninfo conninfo(address, "the address of the region");
  for (const char* const keyword : {"host", "port", "dbname"}) {
    const std::string value(conninfo.value(keyword));
    if (!value.empty()) options->set(keyword, kept(value));
  }
}

bool names_password(const Options& options) {
  for (int i = 0; i < options.count; ++i) {
    if (std::strcmp(options.keywords[i], "password") == 0) return options.values[i][0] != '\0';
  }
  return false;
}

ForeignServer* existing_server(const char* region) {
  ForeignServer* const server = GetForeignServerByName(region, true);
  const ForeignDataWrapper* const wrapper = server == nullptr ? nullptr : GetForeignDataWrapper(server->fdwid);
  if (wrapper == nullptr || std::strcmp(wrapper->fdwname, wrapper_name) != 0) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("there is no server for region \"%s\"", region),
                    errhint("CREATE SERVER %s FOREIGN DATA WRAPPER %s, and a user mapping with user and password.",
                            quote_identifier(region), wrapper_name)));
  }
  return server;
}

Options login_for(const char* region) {
  ForeignServer* const server = existing_server(region);
  const UserMapping* const mapping = GetUserMapping(GetUserId(), server->serverid);
  Options options{};
  RegionServer primary{};
  if (!find_region_server(region, &primary)) {
    ereport(ERROR, (errcode(ERRCODE_UNDEFINED_OBJECT), errmsg("no server serves region \"%s\"", region),
                    errhint("See meridian.nodes.")));
  }
  guarded([&primary, &options] { read_address(primary.dsn, &options); });
  options.set_all(ForeignServerRelationId, server->options);
  options.set_all(UserMappingRelationId, mapping->options);
  if (!superuser() && !names_password(options)) {
    ereport(ERROR, (errcode(ERRCODE_S_R_E_PROHIBITED_SQL_STATEMENT_ATTEMPTED), errmsg("password is required"),
                    errdetail("Only superusers may connect with the rights of the server's account."),
                    errhint("Put user and password into the user mapping.")));
  }
  return options;
}

void refuse_open_transaction() {
  if (forward_after_write || !TransactionIdIsValid(GetTopTransactionIdIfAny())) return;
  ereport(ERROR,
          (errcode(ERRCODE_ACTIVE_SQL_TRANSACTION), errmsg("execute_at() cannot run in a transaction that has written"),
           errdetail("It commits in the other region whatever becomes of this transaction."),
           errhint("Call it outside BEGIN and COMMIT, or SET meridian.forward_after_write = on.")));
}

void read_parameters(ArrayType* array, RemoteStatement* statement) {
  Datum* elements = nullptr;
  bool* nulls = nullptr;
  deconstruct_array(array, TEXTOID, -1, false, TYPALIGN_INT, &elements, &nulls, &statement->count);
  statement->values = static_cast<const char**>(palloc(sizeof(char*) * static_cast<Size>(statement->count + 1)));
  for (int i = 0; i < statement->count; ++i)
    statement->values[i] = nulls[i] ? nullptr : TextDatumGetCString(elements[i]);
}

void raise_remote(const Outcome& outcome, const char* region) {
  const char* const code = outcome.sqlstate;
  ereport(
      ERROR,
      (errcode(MAKE_SQLSTATE(code[0], code[1], code[2], code[3], code[4])), errmsg_internal("%s", outcome.message),
       outcome.detail[0] == '\0' ? 0 : errdetail_internal("%s", outcome.detail),
       outcome.hint[0] == '\0' ? 0 : errhint("%s", outcome.hint), errcontext("statement in region \"%s\"", region)));
}

}  // namespace

RemoteResult execute_in_region(const RemoteStatement& statement) {
  Request request{};
  request.region = statement.region;
  request.sql = statement.sql;
  request.count = statement.count;
  request.values = statement.values;
  Options options = login_for(request.region);
  request.role = GetUserId();
  request.superuser = superuser();
  request.option_count = options.count;
  request.keywords = options.keywords;
  request.options = options.values;
  request.encoding = GetDatabaseEncodingName();
  Outcome outcome{};
  Outcome* const to = &outcome;
  const Request* const from = &request;
  guarded([from, to] { execute(*from, to); });
  if (outcome.sqlstate != nullptr) raise_remote(outcome, request.region);
  if (outcome.result.token[0] != '\0') merge_last_write(outcome.result.token);
  return outcome.result;
}

}  // namespace meridian::pg

/// meridian.execute_at(text, text, text[]) returns (rows jsonb, command text, token text)
MERIDIAN_FUNCTION(meridian_execute_at)
{
  using namespace meridian::pg;
  refuse_open_transaction();
  RemoteStatement statement{};
  statement.region = text_to_cstring(PG_GETARG_TEXT_PP(0));
  statement.sql = text_to_cstring(PG_GETARG_TEXT_PP(1));
  read_parameters(PG_GETARG_ARRAYTYPE_P(2), &statement);
  const RemoteResult result = execute_in_region(statement);
  Datum values[] = {DirectFunctionCall1(jsonb_in, CStringGetDatum(result.rows)), CStringGetTextDatum(result.command),
                    CStringGetTextDatum(result.token)};
  bool nulls[] = {false, false, result.token[0] == '\0'};
  PG_RETURN_DATUM(HeapTupleGetDatum(heap_form_tuple(meridian::pg::result_row_type(fcinfo), values, nulls)));
}

/// meridian.check_forward_options(text[], oid) returns void
MERIDIAN_FUNCTION(meridian_check_forward_options)
{
  using namespace meridian::pg;
  const List* const options = untransformRelOptions(PG_GETARG_DATUM(0));
  ListCell* cell = nullptr;
  foreach (cell, options) {
    const auto* const option = static_cast<const DefElem*>(lfirst(cell));
    if (is_option(PG_GETARG_OID(1), option->defname)) continue;
    ereport(ERROR, (errcode(ERRCODE_FDW_INVALID_OPTION_NAME), errmsg("invalid option \"%s\"", option->defname),
                    errhint("A server may have host, port, dbname, sslmode, sslrootcert and connect_timeout, a user "
                            "mapping user and password.")));
  }
  PG_RETURN_VOID();
}
