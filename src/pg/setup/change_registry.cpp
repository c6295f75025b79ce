// A change of the registry that was asked for on another server than the primary of the member that it belongs to. It
// is made there, by the function that the caller would have called.

#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {
namespace {

bool is_primary_of(Connection& there, const std::string& member) {
  const Rows rows =
      there.query("SELECT NOT pg_is_in_recovery() FROM meridian.local_member WHERE member = $1", {member});
  return rows.count() > 0 && rows.boolean(0, 0);
}

}  // namespace

std::string change_registry(Session& session) {
  const auto& arguments = session.request().arguments;
  const std::string& owner = arguments.at(0);
  const std::string& step = arguments.at(1);
  const std::size_t end = 3 + std::stoul(arguments.at(2));
  std::vector<Value> values;
  for (std::size_t i = end; i + 1 < arguments.size(); i += 2)
    values.push_back(arguments[i] == "1" ? Value(arguments[i + 1]) : Value());
  // An array of parameters, so that NULL and any text arrive as they are.
  std::string list;
  for (std::size_t i = 0; i < values.size(); ++i) list += (i == 0 ? "$" : ", $") + std::to_string(i + 3) + "::text";
  std::vector<Value> parameters = {owner, step};
  parameters.insert(parameters.end(), values.begin(), values.end());

  std::string reason = "it has no connection string";
  for (std::size_t i = 3; i < end; ++i) {
    try {
      Connection there(session, "the primary of the owning member", arguments[i]);
      if (!is_primary_of(there, owner)) {
        reason = "who answers is not the primary of that member";
        continue;
      }
      there.query("SELECT meridian.change_registry($1::integer, $2, ARRAY[" + list + "])", parameters);
      return {};
    } catch (const Stopped&) {
      throw;
    } catch (const SetupError& error) {
      if (error.sqlstate() != "08001" && error.sqlstate() != "08006") throw;
      reason = error.what();
    }
  }
  throw SetupError("08001", "the primary of the owning member could not be reached", reason,
                   "Call the function there, or again when it is back.");
}

}  // namespace meridian::pg::setup
