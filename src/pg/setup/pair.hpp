// This node and one other member of its mesh, for the tasks that compare and repair the two.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "pg/setup/copy.hpp"
#include "pg/setup/mesh.hpp"

namespace meridian::pg::setup {

/// Both connected, other members too if they can be reached; no other set-up task runs in the mesh meanwhile.
class Pair {
 public:
  /// The request's first two arguments: dsn of this member, name of the other. Throws 42704 or 22023 if that is no
  /// other member, 08001 if it cannot be reached.
  explicit Pair(Session& session);

  [[nodiscard]] Node& here() noexcept { return *here_; }
  [[nodiscard]] Node& there() noexcept { return *there_; }

  /// Waits until what any member had committed before the call has been applied on these two. A stream that does not
  /// run or stands still is warned of once and not waited for any more.
  void settle();

 private:
  struct Stream {
    Node* writer;
    Node* reader;
  };
  bool wait(const Stream& stream, Clock::time_point connect_until);

  Session& session_;
  std::unique_ptr<Node> entry_;
  std::unique_ptr<Mesh> mesh_;
  Node* here_ = nullptr;
  Node* there_ = nullptr;
  std::vector<Stream> streams_;
};

/// The request's table, after checking that both nodes replicate it under the same number and with the same shape.
Table paired_table(Session& session, Pair& pair);

}  // namespace meridian::pg::setup
