-- Triggers that stamp local writes and merge incoming ones, and the tables they write.

CREATE TABLE meridian.tombstone (
  table_id integer NOT NULL,
  key_hash bigint NOT NULL,
  key text[] NOT NULL,
  floor bigint NOT NULL,
  stamp bigint NOT NULL,
  actor bigint NOT NULL,
  seen meridian.row_state NOT NULL,
  settled boolean NOT NULL DEFAULT false,
  written bigint NOT NULL DEFAULT 9223372036854775807,
  laid_down boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE meridian.tombstone IS 'Deleted rows, remembered so that a late image of them stays dead. Replicated to every member.';
COMMENT ON COLUMN meridian.tombstone.table_id IS 'Table, as in meridian.replicated_table.';
COMMENT ON COLUMN meridian.tombstone.key_hash IS 'Hash of the primary key by its own types, computed on each node.';
COMMENT ON COLUMN meridian.tombstone.key IS 'Primary key, as text, in the order of the key''s columns.';
COMMENT ON COLUMN meridian.tombstone.floor IS 'Largest birth among the deleted lives; 0 where deletes are ordered by stamp.';
COMMENT ON COLUMN meridian.tombstone.stamp IS 'Stamp of the delete: HLC, or microseconds since 2000 for lww() tables.';
COMMENT ON COLUMN meridian.tombstone.actor IS 'Who deleted: epoch and member.';
COMMENT ON COLUMN meridian.tombstone.seen IS 'Last writes that the deleter had seen.';
COMMENT ON COLUMN meridian.tombstone.settled IS 'True once no transaction that began before the tombstone was committed can still bring the row.';
COMMENT ON COLUMN meridian.tombstone.written IS 'Where the clock of the deleting node stood: the stamp, or its HLC for lww() tables. By this the tombstone is known to be applied everywhere; the largest bigint: unknown, it stays.';
COMMENT ON COLUMN meridian.tombstone.laid_down IS 'lww() tables: every member has applied it, so it buries nothing that arrives any more; it still lifts a new row of its key above the delete until all members have laid it down.';
CREATE INDEX tombstone_key ON meridian.tombstone (table_id, key_hash);
CREATE INDEX tombstone_unsettled ON meridian.tombstone (table_id) WHERE NOT settled;
CREATE INDEX tombstone_written ON meridian.tombstone (table_id, laid_down, written) WHERE settled;

CREATE TABLE meridian.parked_image (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  rel regclass NOT NULL,
  key_hash bigint NOT NULL,
  key jsonb,
  image jsonb NOT NULL,
  reason text NOT NULL,
  sqlstate text NOT NULL,
  detail text NOT NULL,
  images integer NOT NULL DEFAULT 1,
  parked_at timestamptz NOT NULL DEFAULT now(),
  retry_at timestamptz NOT NULL DEFAULT now(),
  attempts integer NOT NULL DEFAULT 0,
  sent_schema name,
  sent_table name,
  CHECK ((sent_schema IS NULL) = (sent_table IS NULL))
);
COMMENT ON TABLE meridian.parked_image IS 'Rows that wait outside their table, as if still in flight; read view meridian.parked.';
COMMENT ON COLUMN meridian.parked_image.rel IS 'The replicated table, or meridian.tombstone; 0 if there is no such table here.';
COMMENT ON COLUMN meridian.parked_image.key_hash IS 'Hash of the primary key by its own types, on this node; 0 for tombstones, and where the key is unknown.';
COMMENT ON COLUMN meridian.parked_image.key IS 'Primary key; NULL for tombstones, and where this node cannot read it.';
COMMENT ON COLUMN meridian.parked_image.image IS 'Every column as text, by name; "_meridian" is the state of the row. A value that this node could not read is an object of its type and its binary form as it was sent.';
COMMENT ON COLUMN meridian.parked_image.sent_schema IS 'Schema of the table that the sender named, for a row that does not fit it here (reason misfit); it waits whole until it does.';
COMMENT ON COLUMN meridian.parked_image.sent_table IS 'The table''s name, likewise. NULL for rows that were read by the table''s definition.';
COMMENT ON COLUMN meridian.parked_image.images IS 'How many images have been merged into this one.';
CREATE INDEX parked_key ON meridian.parked_image (rel, key_hash);
CREATE INDEX parked_due ON meridian.parked_image (retry_at);

CREATE FUNCTION meridian.resolve() RETURNS trigger
  LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_resolve';
COMMENT ON FUNCTION meridian.resolve() IS 'Trigger of a replicated table: resolve(''column=rule'', ...). Stamps local writes; merges rows that arrive from a peer. Attached by meridian.replicate().';

CREATE FUNCTION meridian.lww() RETURNS trigger
  LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_lww';
COMMENT ON FUNCTION meridian.lww() IS 'Trigger: lww(''updated_at''). The row with the newer timestamp wins, ties are broken by the rows themselves; no extra column.';

CREATE FUNCTION meridian.truncate() RETURNS trigger
  LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_truncate';
COMMENT ON FUNCTION meridian.truncate() IS 'Trigger: refuses TRUNCATE of a replicated table, or with meridian.allow_truncate makes it the DELETE of every row on all nodes.';

CREATE FUNCTION meridian.apply_tombstone() RETURNS trigger
  LANGUAGE C AS 'MODULE_PATHNAME', 'meridian_apply_tombstone';
COMMENT ON FUNCTION meridian.apply_tombstone() IS 'Trigger of meridian.tombstone: deletes the row that an arriving tombstone is about.';
CREATE TRIGGER "00_meridian_apply" BEFORE INSERT ON meridian.tombstone
  FOR EACH ROW EXECUTE FUNCTION meridian.apply_tombstone();
ALTER TABLE meridian.tombstone ENABLE ALWAYS TRIGGER "00_meridian_apply";
COMMENT ON TRIGGER "00_meridian_apply" ON meridian.tombstone IS 'Applies tombstones that arrive from a peer.';

CREATE FUNCTION meridian.begin_apply() RETURNS void
  LANGUAGE C VOLATILE PARALLEL UNSAFE AS 'MODULE_PATHNAME', 'meridian_begin_apply';
COMMENT ON FUNCTION meridian.begin_apply() IS 'Marks this session as one that brings rows of a peer: its writes merge, and are not sent on. Used when rows are copied between nodes.';
REVOKE ALL ON FUNCTION meridian.begin_apply() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.begin_apply() TO meridian_admin;

CREATE FUNCTION meridian.canonical_rules(rel regclass, rules text[]) RETURNS text[]
  LANGUAGE C STABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_canonical_rules';
COMMENT ON FUNCTION meridian.canonical_rules(regclass, text[]) IS 'The rules in canonical form, after checking that each fits the table; the error says what does not.';

CREATE VIEW meridian.parked AS
  SELECT p.id, CASE WHEN p.rel <> 0 THEN p.rel END AS rel, p.key, p.reason, p.sqlstate, p.detail, p.images, p.parked_at, p.retry_at, p.attempts,
         pg_catalog.quote_ident(p.sent_schema) || '.' || pg_catalog.quote_ident(p.sent_table) AS sent_as
  FROM meridian.parked_image p;
COMMENT ON VIEW meridian.parked IS 'Rows that wait outside their table, with the reason. Replication goes on without them, and they are tried again by themselves.';
COMMENT ON COLUMN meridian.parked.reason IS 'clock_skew (stamped too far in the future), unique, check, not_null, exclusion, trigger, merge (a merge function raised), misfit (the table is not here, or lacks a column or a partition, or its types do not take a value), or refused (any other error of the table).';
COMMENT ON COLUMN meridian.parked.rel IS 'The table; NULL if it is not here.';
COMMENT ON COLUMN meridian.parked.key IS 'Primary key of the row, if it can be read here.';
COMMENT ON COLUMN meridian.parked.sent_as IS 'For a misfit: the table as its sender names it.';
COMMENT ON COLUMN meridian.parked.detail IS 'The error, for people.';
COMMENT ON COLUMN meridian.parked.images IS 'How many images of the row have arrived and been merged meanwhile.';
COMMENT ON COLUMN meridian.parked.retry_at IS 'When it is tried again; retry_parked(id) does so now.';

CREATE FUNCTION meridian.retry_parked(id bigint) RETURNS text
  LANGUAGE C VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
  AS 'MODULE_PATHNAME', 'meridian_retry_parked';
COMMENT ON FUNCTION meridian.retry_parked(bigint) IS 'Brings a parked row into its table now. Answers "applied", or why it has to wait on.';
REVOKE ALL ON FUNCTION meridian.retry_parked(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.retry_parked(bigint) TO meridian_admin;

CREATE FUNCTION meridian.drop_parked(id bigint) RETURNS void
  LANGUAGE plpgsql VOLATILE STRICT PARALLEL UNSAFE SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  DELETE FROM meridian.parked_image p WHERE p.id = drop_parked.id;
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('no parked change has id %s', id),
      HINT = 'SELECT id FROM meridian.parked; a change that was applied meanwhile is gone from it.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.drop_parked(bigint) IS 'Gives a parked row up on this node, for a cause that will not go. What other nodes have of the row stays; meridian.repair() brings that.';
REVOKE ALL ON FUNCTION meridian.drop_parked(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_parked(bigint) TO meridian_admin;

REVOKE ALL ON meridian.tombstone, meridian.parked_image FROM PUBLIC;
GRANT SELECT ON meridian.tombstone, meridian.parked_image, meridian.parked TO meridian_admin;
