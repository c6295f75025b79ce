-- How far each member's writes can be read here, for tokens of other members.

CREATE TABLE meridian.heartbeat (
  member integer NOT NULL,
  stream integer NOT NULL DEFAULT 1,
  streams integer NOT NULL DEFAULT 1,
  system_id text NOT NULL,
  timeline integer NOT NULL,
  lsn pg_lsn NOT NULL,
  ancestors integer[] NOT NULL,
  ends pg_lsn[] NOT NULL,
  peers integer[] NOT NULL,
  published_at timestamptz NOT NULL,
  received_at timestamptz,
  residue pg_lsn NOT NULL DEFAULT '0/0',
  PRIMARY KEY (member, stream)
) WITH (fillfactor = 50);
COMMENT ON TABLE meridian.heartbeat IS 'Where each member''s WAL stood when it last told: replicated to all, as it arrived through each stream. A token of a member is readable where a row at or beyond it has come through every stream.';
COMMENT ON COLUMN meridian.heartbeat.member IS 'The member that published it.';
COMMENT ON COLUMN meridian.heartbeat.stream IS 'The stream that brought it here; 1 for this node''s own.';
COMMENT ON COLUMN meridian.heartbeat.streams IS 'Through how many streams this node reads from the member.';
COMMENT ON COLUMN meridian.heartbeat.system_id IS 'Its system identifier.';
COMMENT ON COLUMN meridian.heartbeat.timeline IS 'Its timeline.';
COMMENT ON COLUMN meridian.heartbeat.lsn IS 'All that it committed at or below is in its stream before this row.';
COMMENT ON COLUMN meridian.heartbeat.ancestors IS 'The timelines that its timeline descends from.';
COMMENT ON COLUMN meridian.heartbeat.ends IS 'Where each of these was left.';
COMMENT ON COLUMN meridian.heartbeat.peers IS 'The members that were active as far as it knew.';
COMMENT ON COLUMN meridian.heartbeat.published_at IS 'When, by the member''s clock.';
COMMENT ON COLUMN meridian.heartbeat.received_at IS 'When it arrived here; NULL for this node''s own.';
COMMENT ON COLUMN meridian.heartbeat.residue IS 'How far the stream had been applied here when the member began its timeline: what was applied up to there may be of an earlier one.';
REVOKE ALL ON meridian.heartbeat FROM PUBLIC;
GRANT SELECT ON meridian.heartbeat TO meridian_admin;

CREATE FUNCTION meridian.fold_heartbeat() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'meridian_fold_heartbeat';
COMMENT ON FUNCTION meridian.fold_heartbeat() IS 'Trigger of meridian.heartbeat: what arrives from a member replaces what it had published before.';
CREATE TRIGGER "00_meridian_apply" BEFORE INSERT ON meridian.heartbeat
  FOR EACH ROW EXECUTE FUNCTION meridian.fold_heartbeat();
ALTER TABLE meridian.heartbeat ENABLE ALWAYS TRIGGER "00_meridian_apply";
COMMENT ON TRIGGER "00_meridian_apply" ON meridian.heartbeat IS 'Keeps one row per member and stream.';
