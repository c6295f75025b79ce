// What Meridian knows about one replicated table, compiled once per backend: columns, rules, slots, key.
//
// Built from the table's catalog entry and the arguments of its "00_meridian_apply" trigger. A plan lives in its own
// memory context; a relcache invalidation marks it stale, the next lookup builds a new one, and the old one is freed
// with the transaction, because a caller further up may still hold it.
#pragma once

#include "pg/support/postgres.hpp"

#include "core/row_state.hpp"
#include "core/rules.hpp"
#include "core/type_codec.hpp"
#include "pg/trigger_names.hpp"

namespace meridian::pg {

struct MergeCall;

inline constexpr char state_column_name[] = "_meridian";

struct ColumnPlan {
  AttrNumber attnum;
  ColumnRule rule;      ///< columns without a rule: lww in the default group
  std::uint16_t index;  ///< into Shape::groups, ::lattices or ::sets, or RowPlan::number_attnums
  bool skip;            ///< dropped, generated, or the state column itself
  bool is_key;
  bool is_varlena;
  Oid base_type;  ///< the type, or what it is a domain over
  std::int32_t base_typmod;
  FmgrInfo* combine_less;  ///< `<` of the type, for max and min
  MergeCall* merge;        ///< for merge:<function>, see merge_function.hpp
  TypeKind type_kind;      ///< for ColumnRule::typed
};

struct KeyColumn {
  AttrNumber attnum;
  Oid type;
  Oid collation;
  RegProcedure equals;  ///< the primary key index's own equality operator
  FmgrInfo equals_info;
  FmgrInfo hash;  ///< see key_hash.hpp; fn_oid invalid if there is none
};

enum class RowMode { state, timestamp };  ///< resolve(...) or lww('column')

struct RowPlan {
  Oid relation;  ///< the replicated table: of a partition, the partitioned table at the top
  bool stale;
  MemoryContext context;
  RowMode mode;
  const char* rule_text;    ///< the trigger's arguments, for people
  std::int32_t table_id;    ///< mesh-wide id; 0 if the table is not registered
  Oid owner;                ///< of the replicated table
  AttrNumber state_attnum;  ///< RowMode::state
  AttrNumber stamp_attnum;  ///< RowMode::timestamp
  Oid stamp_type;
  int column_count;     ///< physical, including dropped columns
  ColumnPlan* columns;  ///< by attnum - 1
  const Shape* shape;
  /// Columns whose value the state gives: by index in Shape::counters, and behind them in Shape::bounds.
  AttrNumber* number_attnums;
  int number_count;
  AttrNumber* set_attnums;  ///< by index in Shape::sets
  Oid key_index;
  int key_count;
  KeyColumn* keys;
  int required_count;  ///< of NOT NULL columns that are stored
  AttrNumber* required;
  TupleTableSlot* found_slot;  ///< see row_slots.hpp; made when first needed
  TupleTableSlot* written_slot;
  /// Row triggers of others that fire while a peer's change is applied.
  bool others_see_insert;
  bool others_see_update;
  bool others_see_delete;
  /// What the table may refuse, see admission.cpp.
  bool has_checks;          ///< CHECK constraints or generated columns
  bool has_unique_key;      ///< a unique index besides the primary key
  bool may_raise;           ///< writing a row runs code that may raise: triggers, expressions, exclusion constraints
  bool has_merge_function;  ///< some column is merged by a function of the user's, which may raise
};

/// The plan of a table that carries Meridian's triggers. Raises 55000 if it does not, or lacks a usable primary key.
RowPlan* row_plan(Relation relation);

/// Registers the invalidation callbacks. Called once, from _PG_init.
void register_plan_callbacks();

}  // namespace meridian::pg
