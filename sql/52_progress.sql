-- What members tell each other of their progress, so that tombstones can be dropped (src/core/stability.hpp).

CREATE TABLE meridian.progress (
  member integer NOT NULL,
  stream integer NOT NULL DEFAULT 1,
  generation integer NOT NULL,
  epoch integer NOT NULL,
  healed boolean NOT NULL,
  safe bigint NOT NULL,
  origins integer[] NOT NULL,
  applied bigint[] NOT NULL,
  laid_down bigint NOT NULL,
  parked bigint NOT NULL,
  published_at timestamptz NOT NULL,
  received_at timestamptz,
  PRIMARY KEY (member, stream)
) WITH (fillfactor = 50);
COMMENT ON TABLE meridian.progress IS 'What each member last published of its progress, replicated to all, as it arrived through each stream. Read view meridian.tombstone_progress.';
COMMENT ON COLUMN meridian.progress.member IS 'The member that published it.';
COMMENT ON COLUMN meridian.progress.stream IS 'The stream that brought it here; 1 for this node''s own. What is true of a member is what has come through all of its streams.';
COMMENT ON COLUMN meridian.progress.generation IS 'The generation that it belongs to, see meridian.generation.';
COMMENT ON COLUMN meridian.progress.epoch IS 'Epoch of the member when it published.';
COMMENT ON COLUMN meridian.progress.healed IS 'False if the member''s epoch was raised in this generation: it may have lost what it had told, so its progress does not count.';
COMMENT ON COLUMN meridian.progress.safe IS 'All that the member stamped at or below is in the stream before this row.';
COMMENT ON COLUMN meridian.progress.origins IS 'The other members that it knows.';
COMMENT ON COLUMN meridian.progress.applied IS 'Per origin: all deletes that it stamped at or below are applied at the member, and settled.';
COMMENT ON COLUMN meridian.progress.laid_down IS 'Tombstones of lww() tables written at or below bury nothing any more at the member.';
COMMENT ON COLUMN meridian.progress.parked IS 'How many changes are parked at the member.';
COMMENT ON COLUMN meridian.progress.published_at IS 'When, by the member''s clock.';
COMMENT ON COLUMN meridian.progress.received_at IS 'When it arrived here; NULL for this node''s own.';
REVOKE ALL ON meridian.progress FROM PUBLIC;
GRANT SELECT ON meridian.progress TO meridian_admin;

CREATE TABLE meridian.generation (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  number integer NOT NULL,
  epoch integer NOT NULL,
  held text,
  since timestamptz NOT NULL DEFAULT now()
);
COMMENT ON TABLE meridian.generation IS 'The span in which members'' progress counts. A new one begins on all members when one is removed, because what it had sent may have reached only some: the others first send each other what they have of it.';
COMMENT ON COLUMN meridian.generation.only_row IS 'Always true: there is at most one row.';
COMMENT ON COLUMN meridian.generation.number IS 'Number of the generation, the same on all members that count on each other.';
COMMENT ON COLUMN meridian.generation.epoch IS 'Epoch of this node when the generation began. In a later epoch it may have lost what it had told, and its progress does not count.';
COMMENT ON COLUMN meridian.generation.held IS 'Why this node drops no tombstones now; NULL if it does.';
COMMENT ON COLUMN meridian.generation.since IS 'When the generation began, or was held.';
REVOKE ALL ON meridian.generation FROM PUBLIC;
GRANT SELECT ON meridian.generation TO meridian_admin;

-- Steps ------------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.begin_generation(number integer) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  -- Apply workers write rows of this table in place.
  LOCK TABLE meridian.progress IN SHARE ROW EXCLUSIVE MODE;
  DELETE FROM meridian.progress;
  INSERT INTO meridian.generation AS g (number, epoch)
    SELECT begin_generation.number, l.epoch FROM meridian.local_member l
    ON CONFLICT (only_row) DO UPDATE SET number = EXCLUDED.number, epoch = EXCLUDED.epoch, held = NULL, since = EXCLUDED.since;
END
$$;
COMMENT ON FUNCTION meridian.begin_generation(integer) IS 'Step: what members published so far counts no more. All members must have received what any of them has (have been healed) before this is called on the first of them.';
REVOKE ALL ON FUNCTION meridian.begin_generation(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.begin_generation(integer) TO meridian_admin;

CREATE FUNCTION meridian.hold_removal(reason text) RETURNS integer
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  UPDATE meridian.generation SET held = $1, since = now() RETURNING number
$$;
COMMENT ON FUNCTION meridian.hold_removal(text) IS 'Step: this node drops no tombstones and publishes no progress until begin_generation(). Returns the number of the present generation.';
REVOKE ALL ON FUNCTION meridian.hold_removal(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.hold_removal(text) TO meridian_admin;

CREATE FUNCTION meridian.remove_member(peer integer, generation integer) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.remove_member($1);
  SELECT meridian.begin_generation($2)
$$;
COMMENT ON FUNCTION meridian.remove_member(integer, integer) IS 'Step: forgets a member of whom the others have the same, and begins a generation without it.';
REVOKE ALL ON FUNCTION meridian.remove_member(integer, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.remove_member(integer, integer) TO meridian_admin;

CREATE FUNCTION meridian.set_filled(id integer, filled boolean) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ UPDATE meridian.replicated_table t SET filled = $2 WHERE t.id = $1 $$;
COMMENT ON FUNCTION meridian.set_filled(integer, boolean) IS 'Step: rows of the table are being copied outside the streams (false: its tombstones stay), or are no more.';
REVOKE ALL ON FUNCTION meridian.set_filled(integer, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.set_filled(integer, boolean) TO meridian_admin;

CREATE FUNCTION meridian.received_from(peer integer) RETURNS bigint
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  -- Under another generation the mark is older, which only makes a re-sending longer.
  SELECT coalesce((SELECT min(p.safe) FROM meridian.progress p WHERE p.member = $1 AND p.stream <= m.streams HAVING count(*) = m.streams), 0)
    FROM meridian.local_member l JOIN meridian.member m ON m.id = l.member
$$;
COMMENT ON FUNCTION meridian.received_from(integer) IS 'Step: all that the member stamped at or below has arrived here, through each stream; 0 if it has told nothing.';
REVOKE ALL ON FUNCTION meridian.received_from(integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.received_from(integer) TO meridian_admin;

CREATE FUNCTION meridian.last_write(state meridian.row_state, member integer) RETURNS bigint
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_last_write';
COMMENT ON FUNCTION meridian.last_write(meridian.row_state, integer) IS 'Stamp of the latest write of a member, in any of its epochs, that the state knows; NULL if it knows none.';

CREATE FUNCTION meridian.note_dropped(peer text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  subscription name;
BEGIN
  UPDATE meridian.generation g SET held = 'dropped from the mesh', since = now() WHERE g.held IS DISTINCT FROM 'dropped from the mesh';
  IF NOT FOUND THEN
    RETURN;
  END IF;
  -- The slots that they ask for are gone.
  FOR subscription IN SELECT s.subname FROM pg_subscription s JOIN pg_database d ON d.oid = s.subdbid
                       WHERE d.datname = current_database() AND (meridian.stream_of(s.subname)).member IS NOT NULL LOOP
    EXECUTE format('ALTER SUBSCRIPTION %I DISABLE', subscription);
  END LOOP;
  RAISE LOG USING MESSAGE = format('meridian: this node was dropped from the mesh: node "%s" does not know it any more', peer),
    HINT = 'Its streams are refused in both directions. Call meridian.leave() here, empty its tables, and meridian.join() again.';
END
$$;
COMMENT ON FUNCTION meridian.note_dropped(text) IS 'Step: this node has learned from a peer that drop_node() removed it.';
REVOKE ALL ON FUNCTION meridian.note_dropped(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.note_dropped(text) TO meridian_admin;

-- Rows that arrive --------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.fold_progress() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'meridian_fold_progress';
COMMENT ON FUNCTION meridian.fold_progress() IS 'Trigger of meridian.progress: what arrives from a member replaces what it had published before.';
CREATE TRIGGER "00_meridian_apply" BEFORE INSERT ON meridian.progress
  FOR EACH ROW EXECUTE FUNCTION meridian.fold_progress();
ALTER TABLE meridian.progress ENABLE ALWAYS TRIGGER "00_meridian_apply";
COMMENT ON TRIGGER "00_meridian_apply" ON meridian.progress IS 'Keeps one row per member and stream.';

-- Status -------------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.member_cuts(OUT member integer, OUT counts boolean, OUT cut bigint, OUT state text) RETURNS SETOF record
  LANGUAGE c STABLE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'meridian_member_cuts';
COMMENT ON FUNCTION meridian.member_cuts() IS 'Per other member: whether its progress counts, up to which stamp it lets tombstones go at this node, and why not further; read view meridian.tombstone_progress.';
REVOKE ALL ON FUNCTION meridian.member_cuts() FROM PUBLIC;

CREATE FUNCTION meridian.read_tombstone_progress()
  RETURNS TABLE (node text, member integer, state text, generation integer, epoch integer, safe bigint, applied jsonb, parked bigint,
                 published_at timestamptz, received_at timestamptz, cut bigint, tombstones_held bigint, blocks_since timestamptz)
  LANGUAGE sql STABLE SECURITY DEFINER SET search_path = pg_catalog, pg_temp SET jit = off
AS $$
  SELECT m.name, m.id, CASE WHEN m.id <> l.member THEN c.state WHEN m.state = 'joining' THEN m.state ELSE coalesce(g.held, 'self') END,
         p.generation, p.epoch, p.safe,
         (SELECT jsonb_object_agg(coalesce(o.name, u.origin::text), u.applied)
            FROM (SELECT e.origin, min(e.applied) AS applied FROM meridian.progress r, unnest(r.origins, r.applied) e(origin, applied)
                   WHERE r.member = m.id GROUP BY e.origin) u
            LEFT JOIN meridian.member o ON o.id = u.origin),
         p.parked, p.published_at, p.received_at, c.cut,
         CASE WHEN m.id <> l.member THEN h.held END,
         CASE WHEN m.id <> l.member THEN meridian.hlc_time(h.oldest) END
    FROM meridian.member m
    JOIN meridian.local_member l ON true
    LEFT JOIN meridian.generation g ON true
    -- Of several streams, the one that is farthest behind.
    CROSS JOIN LATERAL (SELECT min(r.generation) AS generation, max(r.epoch) AS epoch, min(r.safe) AS safe, max(r.parked) AS parked,
                               min(r.published_at) AS published_at, min(r.received_at) AS received_at
                          FROM meridian.progress r WHERE r.member = m.id) p
    LEFT JOIN meridian.member_cuts() c ON c.member = m.id
    LEFT JOIN LATERAL (SELECT count(*) AS held, min(t.written) FILTER (WHERE t.written < 9223372036854775807) AS oldest
                         FROM meridian.tombstone t WHERE t.written > c.cut) h ON true
   ORDER BY m.id
$$;
COMMENT ON FUNCTION meridian.read_tombstone_progress() IS 'The rows of the view meridian.tombstone_progress.';

CREATE VIEW meridian.tombstone_progress AS SELECT * FROM meridian.read_tombstone_progress();
COMMENT ON VIEW meridian.tombstone_progress IS 'Why tombstones are still here: what each member has published of its progress, and how many tombstones of this node it holds back.';
COMMENT ON COLUMN meridian.tombstone_progress.node IS 'Name of the member.';
COMMENT ON COLUMN meridian.tombstone_progress.member IS 'Number of the member.';
COMMENT ON COLUMN meridian.tombstone_progress.state IS 'counts, or why its progress does not: joining, silent (has published nothing, or not through every stream), other generation, epoch raised. This node: self, or why it holds all tombstones.';
COMMENT ON COLUMN meridian.tombstone_progress.generation IS 'Generation of what it published last.';
COMMENT ON COLUMN meridian.tombstone_progress.epoch IS 'Epoch of the member then.';
COMMENT ON COLUMN meridian.tombstone_progress.safe IS 'Stamp up to which all that it wrote has arrived here.';
COMMENT ON COLUMN meridian.tombstone_progress.applied IS 'Stamps up to which it has applied the deletes of the others.';
COMMENT ON COLUMN meridian.tombstone_progress.parked IS 'How many changes are parked there.';
COMMENT ON COLUMN meridian.tombstone_progress.published_at IS 'When it published, by its own clock.';
COMMENT ON COLUMN meridian.tombstone_progress.received_at IS 'When that arrived here.';
COMMENT ON COLUMN meridian.tombstone_progress.cut IS 'Tombstones written after this stamp cannot go because of the member; 0: none can.';
COMMENT ON COLUMN meridian.tombstone_progress.tombstones_held IS 'How many tombstones of this node those are.';
COMMENT ON COLUMN meridian.tombstone_progress.blocks_since IS 'Time of the oldest of them; NULL if there are none.';
GRANT SELECT ON meridian.tombstone_progress TO PUBLIC;
