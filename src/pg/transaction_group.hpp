// An apply worker that is behind applies several small transactions of a peer as one (core/transaction_group.hpp).
#pragma once

#include "pg/support/postgres.hpp"

namespace meridian::pg {

/// `meridian.apply_group_size`: the most transactions of a peer that are applied as one.
extern int apply_group_size;

/// A message of the stream: 'w', three numbers of 8 bytes, and the logical message.
inline constexpr int stream_header_size = 25;

/// A stream of the mesh begins.
void start_grouping();

/// As walrcv_receive(), which it calls as `base`, without the Commits and Begins between transactions that are applied
/// as one.
int receive_grouped(walrcv_receive_fn base, WalReceiverConn* connection, char** buffer, pgsocket* wait_fd);

}  // namespace meridian::pg
