// The connection to one server and the question that is asked over it now. Core lane: libpq is called without ever
// waiting, and who owns the probe polls the sockets of all.
//
//   closed -> connecting -> preparing (settings of the session) -> ready <-> asking
//
// A connection that turns out to have died while it was idle is made anew once for the question that found it so.
#pragma once

#include <libpq-fe.h>

#include <optional>
#include <string>
#include <vector>

#include "pg/setup/conninfo.hpp"

namespace meridian::pg {

using ProbeClock = std::chrono::steady_clock;

class Probe {
 public:
  enum class Question {
    status,        ///< meridian.answer_probe(); parameters: whether a report is wanted, and for a lease
                   ///< who asks, and for which electorate
    servers,       ///< meridian.own_servers()
    registration,  ///< meridian.register_standby(); parameters: name, region, dsn, upstream
  };
  using Parameter = std::optional<std::string>;
  using Result = std::unique_ptr<PGresult, decltype(&PQclear)>;

  /// How a question ended: with rows, or with a text without secrets.
  struct Outcome {
    Question question;
    Result rows;
    std::string error;
  };

  /// What is waited for; no socket: only for time to pass.
  struct Wish {
    int socket = -1;
    bool read = false;
    bool write = false;
    std::uint32_t serial = 0;  ///< another for every socket of the probe, whose numbers come again
    friend bool operator==(const Wish&, const Wish&) = default;
  };

  /// By which the server is reached. Another string closes the connection. `encoding`: of the texts that it is to send.
  void set_target(const std::string& dsn, bool trusted, const std::string& encoding);

  /// Begins a question; none may be under way. advance() brings its outcome.
  void ask(Question question, std::vector<Parameter> parameters, ProbeClock::time_point now);
  [[nodiscard]] bool asking() const noexcept { return question_.has_value(); }
  [[nodiscard]] bool connected() const noexcept { return state_ == State::ready || state_ == State::asking; }
  /// When the question under way was sent, or begun.
  [[nodiscard]] ProbeClock::time_point asked_at() const noexcept { return asked_at_; }

  [[nodiscard]] Wish wish() const noexcept;
  /// When advance() has something to do although no socket is ready.
  [[nodiscard]] ProbeClock::time_point deadline() const noexcept { return deadline_; }
  /// Goes on as far as it can without waiting. The outcome of the question if it has ended.
  [[nodiscard]] std::optional<Outcome> advance(ProbeClock::time_point now);
  void close() noexcept;

 private:
  enum class State { closed, connecting, preparing, ready, asking };

  void connect(ProbeClock::time_point now);
  void go_on_connecting(ProbeClock::time_point now);
  void send(const char* sql, const std::vector<Parameter>& parameters);
  void send_question(ProbeClock::time_point now);
  /// Reads what is there. The result if the statement has ended.
  std::optional<Result> receive();
  Outcome end(Outcome outcome) noexcept;
  [[noreturn]] void fail(std::string reason) const;

  std::string dsn_;
  bool trusted_ = true;
  std::string encoding_;
  std::optional<setup::Conninfo> conninfo_;
  setup::Handle connection_{nullptr, PQfinish};
  State state_ = State::closed;
  PostgresPollingStatusType polling_ = PGRES_POLLING_WRITING;
  bool unsent_ = false;
  std::uint32_t serial_ = 0;
  bool fresh_ = false;  ///< the connection was made for the question under way
  Result last_{nullptr, PQclear};
  std::optional<Question> question_;
  std::vector<Parameter> parameters_;
  ProbeClock::time_point asked_at_{};
  ProbeClock::time_point deadline_ = ProbeClock::time_point::max();
};

}  // namespace meridian::pg
