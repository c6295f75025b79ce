// create_node(): the first member of a new mesh. One local transaction.

#include "pg/setup/mesh.hpp"
#include "pg/setup/tasks.hpp"

namespace meridian::pg::setup {

std::string create_node(Session& session) {
  const auto& arguments = session.request().arguments;
  const std::string& name = arguments.at(0);
  const std::string& region = arguments.at(1);
  const std::string& dsn = arguments.at(2);
  const std::string& streams = arguments.at(3);

  const std::unique_ptr<Node> here = connect_here(session, dsn, Connection::Origin::caller);
  load_facts(*here, {2, 1, std::stoi(streams)});
  const Facts& facts = here->facts;
  if (!facts.mesh.empty()) {
    throw SetupError("42710", "this database is a member of a mesh already",
                     "It is member " + std::to_string(facts.member) + ".",
                     "Call meridian.leave() first to begin a new mesh.");
  }
  if (!facts.problems.empty()) {
    throw SetupError(
        "55000", "settings of this server do not suffice for a mesh", facts.problems,
        "Put these lines into postgresql.conf and restart the server; meridian.check_config() shows them all.");
  }
  if (facts.publication) {
    throw SetupError("42710", "publication \"meridian\" exists already", {},
                     "DROP PUBLICATION meridian; Meridian creates its own.");
  }
  here->db.query("BEGIN");
  here->db.query("SELECT meridian.become_member(gen_random_uuid(), 1)");
  here->db.query("SELECT meridian.add_member(1, $1, $2, $3, $4, now(), 'active', $5)",
                 {name, region, dsn, facts.system_id, streams});
  here->db.query("SELECT meridian.note_issued('member', 1)");
  here->db.query("COMMIT");
  return "1";
}

}  // namespace meridian::pg::setup
