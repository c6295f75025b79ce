#include "pg/bounded.hpp"

#include "pg/catalog.hpp"
#include "pg/errors.hpp"
#include "pg/identity.hpp"
#include "pg/partition.hpp"
#include "pg/rights_ops.hpp"
#include "pg/rights_queue.hpp"
#include "pg/row_access.hpp"
#include "pg/row_lookup.hpp"
#include "pg/row_slots.hpp"
#include "pg/stamp.hpp"
#include "pg/support/attempt.hpp"
#include "pg/support/function.hpp"
#include "pg/tombstone.hpp"

namespace meridian::pg {
namespace {

/// So many tasks in one transaction of the keeper; the rest waits for the next.
constexpr int tasks_per_pass = 32;

enum class Outcome { moved, nothing, no_row, locked };

AttrNumber column_of(const RowPlan* plan, int bound) {
  return plan->number_attnums[static_cast<int>(plan->shape->counters.size()) + bound];
}

const char* verb(Right right) { return right == Right::lower ? "subtract" : "add"; }

// Locks the row, so that it is the latest version, and computes and writes its new state. Runs as the table's owner.
Outcome move_in_row(Relation relation, RowPlan* plan, const RowValues& key, const RightsMove& move,
                    LockWaitPolicy wait) {
  const Slots slots = take_slots(relation, plan);
  TupleTableSlot* locked = table_slot_create(relation, nullptr);
  Outcome outcome = Outcome::no_row;
  while (find_row(relation, plan, key, Seen::now, slots.found)) {
    CHECK_FOR_INTERRUPTS();
    TM_FailureData failure;
    ItemPointerData tid = slots.found->tts_tid;
    const TM_Result result = table_tuple_lock(relation, &tid, GetActiveSnapshot(), locked, GetCurrentCommandId(false),
                                              LockTupleNoKeyExclusive, wait, 0, &failure);
    outcome = Outcome::locked;
    if (result == TM_WouldBlock) break;
    outcome = Outcome::no_row;
    if (result != TM_Ok) continue;
    RowValues row = deform(plan, slots.found);
    outcome = Outcome::nothing;
    if (!stamp_rights(relation, plan, move, &row)) break;
    store(slots.written, plan, row);
    RowWriter writer;
    begin_write(&writer, relation, plan);
    const WriteResult written = update_row(&writer, slots.found, slots.written);
    end_write(&writer);
    outcome = Outcome::moved;
    if (written == WriteResult::done) break;
  }
  ExecDropSingleTupleTableSlot(locked);
  drop_slots(slots);
  return outcome;
}

// As a member that may write, in the transaction of the caller or the keeper.
Outcome move_rights_of(Relation relation, RowPlan* plan, const RowValues& key, const RightsMove& move,
                       LockWaitPolicy wait) {
  local_actor();
  CommandCounterIncrement();
  const OwnerSwitch caller = become_owner(plan);
  const Outcome outcome = move_in_row(relation, plan, key, move, wait);
  become_caller(caller);
  return outcome;
}

bool has_bound(const RowPlan* plan, int bound) {
  return plan->mode == RowMode::state && bound < static_cast<int>(plan->shape->bounds.size());
}

void put_back(const RightsTask& task) {
  auto* key = reinterpret_cast<ArrayType*>(const_cast<char*>(task.key));
  if (task.asks) {
    queue_rights_task(task.relation, key, task.bound, task.right, task.level);
  } else {
    queue_rights_task(task.relation, key);
  }
}

void run_task(const RightsTask& task) {
  Relation relation = try_relation_open(task.relation, RowExclusiveLock);
  if (relation == nullptr) return;
  // It may have been taken out of the mesh meanwhile, or have other rules now.
  RowPlan* plan = find_table_id(replicated_root(relation)) != 0 ? row_plan(relation) : nullptr;
  if (plan != nullptr && has_bound(plan, task.bound)) {
    auto* stored = static_cast<char*>(palloc(task.key_size));  // aligned
    std::memcpy(stored, task.key, task.key_size);
    const RowValues key = parse_key(relation, plan, reinterpret_cast<ArrayType*>(stored));
    const RightsMove move{task.asks ? RightsMove::Kind::want : RightsMove::Kind::grant, task.bound, task.right, nobody,
                          task.level};
    if (move_rights_of(relation, plan, key, move, LockWaitSkip) == Outcome::locked) put_back(task);
  }
  relation_close(relation, NoLock);
}

/// A row that a user names, and one of its bounded columns.
struct Place {
  Relation relation;
  RowPlan* plan;
  RowValues key;
  int bound;
};

[[noreturn]] void refuse(int code, const char* message, const char* hint) {
  ereport(ERROR, (errcode(code), errmsg("%s", message), errhint("%s", hint)));
  pg_unreachable();
}

RowValues read_key(Relation relation, const RowPlan* plan, ArrayType* key) {
  if (ARR_NDIM(key) != 1 || ArrayGetNItems(1, ARR_DIMS(key)) != plan->key_count || array_contains_nulls(key)) {
    refuse(ERRCODE_INVALID_PARAMETER_VALUE,
           psprintf("the key of table \"%s\" has %d column%s", RelationGetRelationName(relation), plan->key_count,
                    plan->key_count == 1 ? "" : "s"),
           "Give the primary key as an array with the text of each column, for example '{42}'.");
  }
  return parse_key(relation, plan, key);
}

int find_bound(Relation relation, const RowPlan* plan, const char* column) {
  const AttrNumber attnum = get_attnum(RelationGetRelid(relation), column);
  const bool is_bounded = attnum > 0 && plan->mode == RowMode::state &&
                          plan->columns[attnum - 1].rule == ColumnRule::bounded && !plan->columns[attnum - 1].skip;
  if (is_bounded) return plan->columns[attnum - 1].index - static_cast<int>(plan->shape->counters.size());
  refuse(ERRCODE_INVALID_PARAMETER_VALUE,
         psprintf("table \"%s\" has no bounded column \"%s\"", RelationGetRelationName(relation), column),
         "Name a column with rule bounded(...), see the view meridian.tables.");
}

// Who may read or write the table may see or move its rights; policies cannot be asked about one row.
void check_access(Relation relation, AclMode mode) {
  const AclResult result = pg_class_aclcheck(RelationGetRelid(relation), GetUserId(), mode);
  if (result != ACLCHECK_OK) aclcheck_error(result, OBJECT_TABLE, RelationGetRelationName(relation));
  if (check_enable_rls(RelationGetRelid(relation), InvalidOid, true) != RLS_ENABLED) return;
  refuse(ERRCODE_INSUFFICIENT_PRIVILEGE,
         psprintf("row-level security of table \"%s\" applies to you", RelationGetRelationName(relation)),
         "Ask the owner of the table, or a role with BYPASSRLS.");
}

Place open_place(FunctionCallInfo fcinfo, LOCKMODE lock, AclMode mode) {
  auto* key = PG_GETARG_ARRAYTYPE_P(1);
  const char* column = NameStr(*PG_GETARG_NAME(2));
  Relation relation = table_open(PG_GETARG_OID(0), lock);
  check_access(relation, mode);
  RowPlan* plan = row_plan(relation);
  if (relation->rd_rel->relkind == RELKIND_PARTITIONED_TABLE) {
    const RowValues row = read_key(relation, plan, key);
    Relation leaf = open_leaf(relation, row);
    if (leaf == nullptr) {
      refuse(ERRCODE_NO_DATA_FOUND,
             psprintf("no partition of table \"%s\" takes that key", RelationGetRelationName(relation)),
             "Give the primary key of a row that is there.");
    }
    relation_close(relation, NoLock);
    relation = leaf;
    plan = row_plan(relation);
  }
  return {relation, plan, read_key(relation, plan, key), find_bound(relation, plan, column)};
}

[[noreturn]] void refuse_missing(const Place& place) {
  refuse(ERRCODE_NO_DATA_FOUND,
         psprintf("table \"%s\" has no row with that key", RelationGetRelationName(place.relation)),
         "Give the primary key of a row that is there.");
}

void put_owner(const ReturnSetInfo* result, const RightsOwner& owner) {
  const auto numeric = [](const char* text) {
    return DirectFunctionCall3(numeric_in, CStringGetDatum(text), ObjectIdGetDatum(InvalidOid), Int32GetDatum(-1));
  };
  Datum values[] = {Int32GetDatum(owner.actor.member()), Int32GetDatum(owner.actor.epoch()), numeric(owner.lower),
                    owner.raise == nullptr ? static_cast<Datum>(0) : numeric(owner.raise)};
  bool nulls[] = {false, false, false, owner.raise == nullptr};
  tuplestore_putvalues(result->setResult, result->setDesc, values, nulls);
}

// The texts of `owners` live in the scratch area of state_ops.hpp.
RightsOwners copy_owners(const RightsOwners& owners) {
  auto* copy = static_cast<RightsOwner*>(palloc(sizeof(RightsOwner) * static_cast<Size>(owners.count + 1)));
  for (int i = 0; i < owners.count; ++i) {
    copy[i] = owners.owners[i];
    copy[i].lower = pstrdup(copy[i].lower);
    if (copy[i].raise != nullptr) copy[i].raise = pstrdup(copy[i].raise);
  }
  return {copy, owners.count};
}

RightsOwners read_owners(const Place& place) {
  TupleTableSlot* found = make_found_slot(place.relation);
  if (!find_row(place.relation, place.plan, place.key, Seen::now, found)) refuse_missing(place);
  const ImageState image = read_image(place.relation, place.plan, deform(place.plan, found));
  const Actor self = is_confirmed_member() ? local_actor() : nobody;
  const RightsOwners owners = copy_owners(list_rights(*place.plan->shape, image, place.bound, self));
  ExecDropSingleTupleTableSlot(found);
  return owners;
}

}  // namespace

void require_rights(Relation relation, const RowPlan* plan, Actor actor, const RowValues& old_row,
                    const ImageState& old_image, const LocalChange& change) {
  RightsShortage shortage;
  if (!find_shortage(*plan->shape, actor, old_image, change, &shortage)) return;
  const char* needed = pstrdup(shortage.needed);
  const char* here = pstrdup(shortage.here);
  const char* total = pstrdup(shortage.total);
  if (shortage.others_have_them && plan->table_id != 0) {
    queue_rights_task(RelationGetRelid(relation), key_texts(plan, old_row), shortage.bound, shortage.right, needed);
  }
  const Form_pg_attribute attribute = TupleDescAttr(RelationGetDescr(relation), column_of(plan, shortage.bound) - 1);
  ereport(ERROR, (errcode(errcode_rights_exceeded),
                  errmsg("this node may %s %s %s column \"%s\" of table \"%s\", not %s", verb(shortage.right), here,
                         shortage.right == Right::lower ? "from" : "to", NameStr(attribute->attname),
                         RelationGetRelationName(relation), needed),
                  shortage.others_have_them
                      ? errhint("All nodes together may %s %s. Rights are being asked for: try again, or call "
                                "meridian.transfer_rights() on a node that has them (see meridian.rights()).",
                                verb(shortage.right), total)
                      : errhint("All nodes together may %s %s: more would leave the bounds of the column.",
                                verb(shortage.right), total)));
}

void notice_wanted_rights(Relation relation, const RowPlan* plan, const RowValues& row) {
  if (plan->table_id == 0) return;
  const ImageState image = read_image(relation, plan, row);
  if (may_grant(*plan->shape, local_actor(), image)) {
    queue_rights_task(RelationGetRelid(relation), key_texts(plan, row));
  }
}

void move_wanted_rights() {
  if (!is_confirmed_member()) return;
  auto* tasks = static_cast<RightsTask*>(palloc(sizeof(RightsTask) * tasks_per_pass));
  const int count = take_rights_tasks(tasks, tasks_per_pass);
  for (int i = 0; i < count; ++i) {
    const RightsTask* task = &tasks[i];
    const ErrorData* error = attempt([task] { run_task(*task); });
    if (error == nullptr) continue;
    ereport(LOG, (errcode(error->sqlerrcode),
                  errmsg("meridian keeper: rights to a row of table %u were not moved: %s", task->relation,
                         error->message != nullptr ? error->message : "out of memory")));
  }
}

}  // namespace meridian::pg

/// meridian.row_rights(rel regclass, key text[], column_name name) returns set of (member integer, epoch integer,
/// may_subtract numeric, may_add numeric)
MERIDIAN_FUNCTION(meridian_row_rights)
{
  using namespace meridian::pg;
  InitMaterializedSRF(fcinfo, 0);
  const Place place = open_place(fcinfo, AccessShareLock, ACL_SELECT);
  const RightsOwners owners = read_owners(place);
  for (int i = 0; i < owners.count; ++i)
    put_owner(reinterpret_cast<ReturnSetInfo*>(fcinfo->resultinfo), owners.owners[i]);
  relation_close(place.relation, NoLock);
  PG_RETURN_NULL();
}

/// meridian.give_rights(rel regclass, key text[], column_name name, member integer, epoch integer, amount numeric,
/// to_add boolean)
MERIDIAN_FUNCTION(meridian_give_rights)
{
  using namespace meridian;
  using namespace meridian::pg;
  const Place place = open_place(fcinfo, RowExclusiveLock, ACL_UPDATE);
  const Actor to =
      Actor::from_parts(static_cast<std::uint16_t>(PG_GETARG_INT32(4)), static_cast<std::uint16_t>(PG_GETARG_INT32(3)));
  if (to == local_actor()) {
    refuse(ERRCODE_INVALID_PARAMETER_VALUE, "rights cannot be transferred to the node that has them",
           "Name another node; run the function on the node that gives.");
  }
  const char* amount = DatumGetCString(DirectFunctionCall1(numeric_out, PG_GETARG_DATUM(5)));
  const bool is_amount = amount[0] >= '0' && amount[0] <= '9' && std::strspn(amount, "0.") != std::strlen(amount);
  if (!is_amount)
    refuse(ERRCODE_INVALID_PARAMETER_VALUE, "an amount of rights must be a number above 0", "Give another.");
  const RightsMove move{RightsMove::Kind::transfer, place.bound, PG_GETARG_BOOL(6) ? Right::raise : Right::lower, to,
                        amount};
  if (move_rights_of(place.relation, place.plan, place.key, move, LockWaitBlock) == Outcome::no_row) {
    refuse_missing(place);
  }
  relation_close(place.relation, NoLock);
  PG_RETURN_VOID();
}

/// meridian.take_over_rights(rel regclass, key text[], column_name name, member integer) returns integer: from how many
/// epochs of the member
MERIDIAN_FUNCTION(meridian_take_over_rights)
{
  using namespace meridian;
  using namespace meridian::pg;
  const Place place = open_place(fcinfo, RowExclusiveLock, ACL_UPDATE);
  const Actor self = local_actor();
  const RightsOwners owners = read_owners(place);
  int taken = 0;
  for (int i = 0; i < owners.count; ++i) {
    const Actor from = owners.owners[i].actor;
    if (from.member() != PG_GETARG_INT32(3) || (from.member() == self.member() && from.epoch() >= self.epoch()))
      continue;
    const RightsMove move{RightsMove::Kind::take, place.bound, Right::lower, from, nullptr};
    const Outcome outcome = move_rights_of(place.relation, place.plan, place.key, move, LockWaitBlock);
    if (outcome == Outcome::no_row) refuse_missing(place);
    if (outcome == Outcome::moved) ++taken;
  }
  relation_close(place.relation, NoLock);
  PG_RETURN_INT32(taken);
}
