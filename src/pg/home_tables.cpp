#include "pg/home_tables.hpp"

#include "pg/catalog.hpp"
#include "pg/setup/conninfo.hpp"
#include "pg/support/guard.hpp"

namespace meridian::pg {
namespace {

/// One table, all rows, under a snapshot that sees what was committed until now.
struct Rows {
  Relation relation;
  SysScanDesc scan;
  HeapTuple tuple;
};

Rows open_rows(Table table) {
  Rows rows{};
  rows.relation = table_open(table_oid(table), AccessShareLock);
  rows.scan = systable_beginscan(rows.relation, InvalidOid, false, nullptr, 0, nullptr);
  return rows;
}

bool next_row(Rows* rows) {
  rows->tuple = systable_getnext(rows->scan);
  return HeapTupleIsValid(rows->tuple);
}

void close_rows(Rows* rows) {
  systable_endscan(rows->scan);
  table_close(rows->relation, AccessShareLock);
}

Datum column(const Rows& rows, AttrNumber number, bool* is_null) {
  return heap_getattr(rows.tuple, number, RelationGetDescr(rows.relation), is_null);
}

/// Empty for NULL.
std::string_view text_column(const Rows& rows, AttrNumber number) {
  bool is_null = false;
  const Datum value = column(rows, number, &is_null);
  return is_null ? std::string_view() : std::string_view(TextDatumGetCString(value));
}

std::int64_t bigint_column(const Rows& rows, AttrNumber number) {
  bool is_null = false;
  const Datum value = column(rows, number, &is_null);
  return is_null ? 0 : DatumGetInt64(value);
}

/// Fills a map from the columns rule, regions and weights, which follow each other.
void read_map(const Rows& rows, AttrNumber first, HomeMap* map) {
  bool is_null = false;
  Datum* names = nullptr;
  Datum* weights = nullptr;
  int count = 0;
  int weight_count = 0;
  const std::string_view rule = text_column(rows, first);
  deconstruct_array(DatumGetArrayTypeP(column(rows, static_cast<AttrNumber>(first + 1), &is_null)), TEXTOID, -1, false,
                    TYPALIGN_INT, &names, nullptr, &count);
  deconstruct_array(DatumGetArrayTypeP(column(rows, static_cast<AttrNumber>(first + 2), &is_null)), INT4OID, 4, true,
                    TYPALIGN_INT, &weights, nullptr, &weight_count);
  auto* texts = static_cast<const char**>(palloc(sizeof(char*) * static_cast<Size>(count + 1)));
  for (int i = 0; i < count; ++i) texts[i] = TextDatumGetCString(names[i]);
  count = std::min(count, weight_count);
  guarded([=] {
    map->set_rule(parse_home_rule(rule));
    for (int i = 0; i < count; ++i) map->add(texts[i], static_cast<std::uint32_t>(DatumGetInt32(weights[i])));
  });
}

enum MapColumn : AttrNumber { map_epoch = 2, map_rule };

void read_current_map(View* view) {
  Rows rows = open_rows(Table::home_map);
  if (next_row(&rows)) {
    view->map_epoch = static_cast<std::uint64_t>(bigint_column(rows, map_epoch));
    read_map(rows, map_rule, &view->now);
  }
  close_rows(&rows);
}

enum ChangeColumn : AttrNumber {
  change_epoch = 1,
  change_state,
  change_kind,
  change_key,
  change_region,
  change_rule,
  change_lost = 9
};

/// The changes that count for the voters, and whom each gave up.
struct VoterChanges {
  int count;
  int room;
  VoterChange* changes;
  Datum* lost;  ///< text[]
};

void note_voter_change(const Rows& rows, std::string_view state, VoterChanges* to) {
  if (state == "aborted") return;
  if (to->count == to->room) {
    to->room = std::max(16, 2 * to->room);
    const auto room = static_cast<Size>(to->room);
    auto* const changes = static_cast<VoterChange*>(palloc(sizeof(VoterChange) * room));
    auto* const lost = static_cast<Datum*>(palloc(sizeof(Datum) * room));
    std::copy_n(to->changes, to->count, changes);
    std::copy_n(to->lost, to->count, lost);
    to->changes = changes;
    to->lost = lost;
  }
  bool is_null = false;
  const Datum lost = PointerGetDatum(DatumGetArrayTypePCopy(column(rows, change_lost, &is_null)));
  const auto epoch = static_cast<std::uint64_t>(bigint_column(rows, change_epoch));
  const bool forced = ArrayGetNItems(ARR_NDIM(DatumGetArrayTypeP(lost)), ARR_DIMS(DatumGetArrayTypeP(lost))) > 0;
  // By epoch; the table is nearly in that order.
  int at = to->count++;
  for (; at > 0 && to->changes[at - 1].epoch > epoch; --at) {
    to->changes[at] = to->changes[at - 1];
    to->lost[at] = to->lost[at - 1];
  }
  to->changes[at] = {epoch, state == "done", forced};
  to->lost[at] = lost;
}

/// Whom the change gave up; null: nobody.
ArrayType* lost_in(const VoterChanges& changes, std::uint64_t epoch) {
  for (int i = 0; i < changes.count; ++i) {
    if (epoch != 0 && changes.changes[i].epoch == epoch) return DatumGetArrayTypeP(changes.lost[i]);
  }
  return nullptr;
}

void read_change(View* view, VoterChanges* voter_changes) {
  Rows rows = open_rows(Table::home_change);
  while (next_row(&rows)) {
    const std::string_view state = text_column(rows, change_state);
    note_voter_change(rows, state, voter_changes);
    if (state != "moving") continue;
    view->change_epoch = static_cast<std::uint64_t>(bigint_column(rows, change_epoch));
    if (text_column(rows, change_kind) == "map") {
      view->map_moves = true;
      read_map(rows, change_rule, &view->next);
    } else {
      const std::string_view key = portable_text(text_column(rows, change_key));
      view->pin_moves = true;
      view->moving_length = std::min(key.size(), longest_key);
      std::memcpy(view->moving_key, key.data(), view->moving_length);
      set_name(&view->moving_to, text_column(rows, change_region));
    }
  }
  close_rows(&rows);
}

std::int32_t own_member() {
  Rows rows = open_rows(Table::local_member);
  constexpr AttrNumber member = 3;
  bool is_null = false;
  const std::int32_t id = next_row(&rows) ? DatumGetInt32(column(rows, member, &is_null)) : 0;
  close_rows(&rows);
  return id;
}

// Core lane.
void write_redacted(const char* dsn, RegionServer* server) {
  const std::string text = setup::redacted_dsn(dsn);
  if (text.size() <= RegionServer::longest_dsn) std::memcpy(server->dsn, text.c_str(), text.size() + 1);
}

enum MemberColumn : AttrNumber { member_id = 1, member_name, member_region, member_dsn, member_state = 7 };

void add_voter(Voters::List* to, std::int32_t id, const char* name, ArrayType* lost) {
  Datum* names = nullptr;
  int count = 0;
  if (lost != nullptr) deconstruct_array(lost, TEXTOID, -1, false, TYPALIGN_INT, &names, nullptr, &count);
  for (int i = 0; i < count; ++i) {
    if (std::strcmp(TextDatumGetCString(names[i]), name) == 0) return;
  }
  if (to->count < static_cast<int>(most_voters)) to->members[to->count] = id;
  ++to->count;
}

void read_voters(View* view, const VoterChanges& changes) {
  Voters* const voters = &view->voters;
  voters->electorate = electorate_of({changes.changes, static_cast<std::size_t>(changes.count)});
  voters->self = own_member();
  ArrayType* const lost = lost_in(changes, voters->electorate.given_up_in);
  ArrayType* const lost_next = lost_in(changes, voters->electorate.next_given_up_in);
  Rows rows = open_rows(Table::member);
  while (next_row(&rows)) {
    if (text_column(rows, member_state) != "active") continue;
    bool is_null = false;
    const std::int32_t id = DatumGetInt32(column(rows, member_id, &is_null));
    const char* const name = text_column(rows, member_name).data();
    add_voter(&voters->now, id, name, lost);
    add_voter(&voters->next, id, name, lost_next);
  }
  close_rows(&rows);
}

/// The member with the smallest number serves its region.
void read_members(View* view) {
  const std::int32_t self = own_member();
  Rows rows = open_rows(Table::member);
  while (next_row(&rows)) {
    bool is_null = false;
    const std::int32_t id = DatumGetInt32(column(rows, member_id, &is_null));
    const std::string_view region = text_column(rows, member_region);
    if (id == self) set_name(&view->self, region);
    int at = 0;
    while (at < view->servers && view->server_regions[at].view() != region) ++at;
    if (at == static_cast<int>(max_home_regions)) continue;
    if (at == view->servers) {
      ++view->servers;
    } else if (view->server_members[at] < id) {
      continue;
    }
    view->server_members[at] = id;
    set_name(&view->server_regions[at], region);
    RegionServer* const server = &view->region_servers[at];
    *server = {};
    strlcpy(server->node, text_column(rows, member_name).data(), sizeof server->node);
    const char* const dsn = text_column(rows, member_dsn).data();
    guarded([dsn, server] { write_redacted(dsn, server); });
  }
  close_rows(&rows);
}

enum PinColumn : AttrNumber { pin_key = 1, pin_region, pin_epoch };

}  // namespace

void set_name(RegionName* name, std::string_view text) {
  *name = {};
  std::memcpy(name->text, text.data(), std::min(text.size(), max_region_name));
}

void read_view(View* view) {
  read_current_map(view);
  VoterChanges changes{};
  read_change(view, &changes);
  read_members(view);
  read_voters(view, changes);
}

ReadPin* read_pins(int most, int* count) {
  int size = 64;
  auto* found = static_cast<ReadPin*>(palloc(sizeof(ReadPin) * static_cast<Size>(size)));
  *count = 0;
  Rows rows = open_rows(Table::home_pin);
  while (*count < most && next_row(&rows)) {
    const std::string_view region = text_column(rows, pin_region);
    if (region.empty()) continue;
    if (*count == size) {
      size *= 2;
      found = static_cast<ReadPin*>(repalloc(found, sizeof(ReadPin) * static_cast<Size>(size)));
    }
    found[(*count)++] = {portable_text(text_column(rows, pin_key)).data(), region.data(),
                         static_cast<std::uint64_t>(bigint_column(rows, pin_epoch))};
  }
  close_rows(&rows);
  return found;
}

bool look_up_pin(std::string_view key, const char** region, std::uint64_t* epoch) {
  const Relation relation = table_open(table_oid(Table::home_pin), AccessShareLock);
  const char* const utf8 = pnstrdup(key.data(), key.size());
  const char* const stored = pg_any_to_server(utf8, static_cast<int>(key.size()), PG_UTF8);
  ScanKeyData condition;
  ScanKeyInit(&condition, pin_key, BTEqualStrategyNumber, F_TEXTEQ, CStringGetTextDatum(stored));
  Rows rows{relation, systable_beginscan(relation, index_oid(Index::home_pin_key), true, nullptr, 1, &condition),
            nullptr};
  const bool found = next_row(&rows) && !text_column(rows, pin_region).empty();
  if (found) {
    *region = text_column(rows, pin_region).data();
    *epoch = static_cast<std::uint64_t>(bigint_column(rows, pin_epoch));
  }
  close_rows(&rows);
  return found;
}

}  // namespace meridian::pg
