// The mesh as a set-up task works on it: a connection to every member, and the lock that keeps other tasks out.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "pg/setup/connection.hpp"

namespace meridian::pg::setup {

/// A row of meridian.member.
struct Member {
  int id = 0;
  std::string name;
  std::string region;
  std::string dsn;
  std::string system_id;
  std::string joined_at;
  std::string state;
  int streams = 1;  ///< through so many it reads from each other member
  friend bool operator==(const Member&, const Member&) = default;
};

/// What a mesh asks of the settings of one server.
struct Demand {
  int members = 2;
  int readers = 1;        ///< streams through which others read from it
  int subscriptions = 1;  ///< streams through which it reads from others
};

/// A row of meridian.node_facts().
struct Facts {
  std::string system_id;
  std::int64_t started_at = 0;
  unsigned database_oid = 0;
  std::string database;
  bool in_recovery = false;
  bool superuser = false;
  std::string server;
  std::string mesh;  ///< empty: in no mesh
  int member = 0;
  std::string member_state;
  bool publication = false;
  int last_member = 0;
  int last_table = 0;
  std::string problems;  ///< lines for postgresql.conf; empty if none is needed
};

/// One database with the extension, connected.
struct Node {
  Node(Session& session, const std::string& label, const std::string& dsn,
       Connection::Origin origin = Connection::Origin::mesh)
      : dsn(dsn), db(session, label, dsn, origin) {}

  std::string dsn;
  Connection db;
  Member member;
  Facts facts;
};

/// Steps taken back, last first, if the work after them fails. Errors of a step are told as warnings.
class Undo {
 public:
  explicit Undo(Session& session) : session_(session) {}
  void add(std::function<void()> step) { steps_.push_back(std::move(step)); }
  /// From here on the work is not taken back but can be repeated.
  void forget() { steps_.clear(); }
  /// Runs `work`; if it throws, takes the steps back and throws on.
  void guard(const std::function<void()>& work);

 private:
  void run();
  Session& session_;
  std::vector<std::function<void()>> steps_;
};

/// Every member of one mesh, connected and locked.
class Mesh {
 public:
  enum class Absent { refuse, skip };

  /// Reads the members from the node of `entry`, takes the lock on the first, and connects to all. `absent`: what to do
  /// with members that cannot be reached; `expected_absent` is never connected to. Throws 55000 if members do not
  /// agree.
  Mesh(Session& session, Node& entry, Absent absent = Absent::refuse, std::string_view expected_absent = {});

  [[nodiscard]] std::vector<std::unique_ptr<Node>>& nodes() noexcept { return nodes_; }
  [[nodiscard]] const std::vector<Member>& members() const noexcept { return members_; }
  [[nodiscard]] const std::vector<std::string>& absent() const noexcept { return absent_; }
  /// The connected node of the member, or null.
  [[nodiscard]] Node* find(int id);
  [[nodiscard]] std::string id() const { return nodes_.front()->facts.mesh; }
  /// Throws 55000 unless every member knows the same members, none of them half joined.
  void require_agreement(int except = 0);
  [[nodiscard]] int next_member_id() const;
  [[nodiscard]] int next_table_id() const;
  /// The largest number of a generation (table meridian.generation) on any connected node.
  [[nodiscard]] int generation();

 private:
  void connect_all(Absent absent, std::string_view expected_absent);
  void take_lock(Absent absent, std::string_view expected_absent);

  Session& session_;
  Node& entry_;
  std::vector<Member> members_;
  std::vector<std::unique_ptr<Node>> nodes_;
  std::vector<std::string> absent_;
  std::unique_ptr<Connection> lock_;
};

/// `node "eu"`, as errors name it.
std::string node_label(const std::string& name);

std::vector<Member> read_members(Connection& db);

/// Reads the facts of a node after checking that it has the extension in the version of this server, is no standby and
/// gives superuser rights.
void load_facts(Node& node, const Demand& demand = {});

/// Connects by the string and proves that it leads to the calling database.
std::unique_ptr<Node> connect_here(Session& session, const std::string& dsn, Connection::Origin origin);

/// The names of the subscriptions through which `reader` reads from the member `writer`.
std::vector<std::string> subscriptions_of(const Member& reader, int writer);
/// Of the slots that those use.
std::vector<std::string> slots_of(const Member& reader);

/// A value as text[] or name[] literal.
std::string array_literal(const std::vector<std::string>& texts);

/// Waits until `reader`, a member, has applied all that `writer` had committed when this is called, through each of its
/// streams. Throws 55000 if it stands still for a minute.
void drain(Session& session, Node& writer, int reader);

}  // namespace meridian::pg::setup
