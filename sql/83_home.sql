-- Home regions: each key has one region that may write it.
--
-- The same rows on every member, written there by set-up workers in the steps of src/core/rehome.hpp, one change at a time.

CREATE TABLE meridian.home_map (
  only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row),
  epoch bigint NOT NULL,
  rule text NOT NULL CHECK (rule IN ('hash', 'modulo')),
  regions text[] NOT NULL,
  weights integer[] NOT NULL CHECK (cardinality(weights) = cardinality(regions))
);
COMMENT ON TABLE meridian.home_map IS 'The home regions, and the rule that gives them the keys that are not pinned; empty before the first region.';
COMMENT ON COLUMN meridian.home_map.only_row IS 'Always true: there is at most one row.';
COMMENT ON COLUMN meridian.home_map.epoch IS 'Number of the change that made it.';
COMMENT ON COLUMN meridian.home_map.rule IS 'hash: weighted rendezvous hashing. modulo: the key, an integer, modulo the number of regions.';
COMMENT ON COLUMN meridian.home_map.regions IS 'The regions in the order in which they were added.';
COMMENT ON COLUMN meridian.home_map.weights IS 'The weight of each, 0 to 1000.';
REVOKE ALL ON meridian.home_map FROM PUBLIC;
GRANT SELECT ON meridian.home_map TO meridian_admin;

CREATE TABLE meridian.home_pin (
  key text COLLATE "C" PRIMARY KEY CHECK (octet_length(key) <= 1000),
  region text,
  epoch bigint NOT NULL
);
COMMENT ON TABLE meridian.home_pin IS 'The directory: keys whose home does not follow from the map.';
COMMENT ON COLUMN meridian.home_pin.key IS 'Text form of the key.';
COMMENT ON COLUMN meridian.home_pin.region IS 'Its home; NULL if it was unpinned and follows the map again.';
COMMENT ON COLUMN meridian.home_pin.epoch IS 'Number of the change that said so; earlier ones are refused for ever.';
REVOKE ALL ON meridian.home_pin FROM PUBLIC;
GRANT SELECT ON meridian.home_pin TO meridian_admin;

CREATE TABLE meridian.home_change (
  epoch bigint PRIMARY KEY,
  state text NOT NULL CHECK (state IN ('moving', 'done', 'aborted')),
  kind text CHECK (kind IN ('map', 'pin')),
  key text COLLATE "C",
  region text,
  rule text,
  regions text[],
  weights integer[],
  lost text[] NOT NULL DEFAULT '{}',
  lost_after jsonb,
  requested_by text,
  began_at timestamptz NOT NULL DEFAULT now(),
  ended_at timestamptz
);
COMMENT ON TABLE meridian.home_change IS 'Every change of homes: the one in progress, and those that are over.';
COMMENT ON COLUMN meridian.home_change.epoch IS 'Its number, never given twice in a mesh.';
COMMENT ON COLUMN meridian.home_change.state IS 'moving: keys that move have no home. done, aborted: final.';
COMMENT ON COLUMN meridian.home_change.kind IS 'map: regions, weights or rule. pin: one key. NULL for a change that was aborted before this member heard of it.';
COMMENT ON COLUMN meridian.home_change.key IS 'The key of a pin.';
COMMENT ON COLUMN meridian.home_change.region IS 'Its new home; NULL to follow the map.';
COMMENT ON COLUMN meridian.home_change.rule IS 'Rule of the new map.';
COMMENT ON COLUMN meridian.home_change.regions IS 'Regions of the new map.';
COMMENT ON COLUMN meridian.home_change.weights IS 'Their weights.';
COMMENT ON COLUMN meridian.home_change.lost IS 'Members that were given up by force: what they had accepted and not sent is lost.';
COMMENT ON COLUMN meridian.home_change.lost_after IS 'Of each of these, the last position in its WAL that the member that asked for the change had applied.';
COMMENT ON COLUMN meridian.home_change.requested_by IS 'The role that asked for it.';
COMMENT ON COLUMN meridian.home_change.began_at IS 'When this member heard of it first.';
COMMENT ON COLUMN meridian.home_change.ended_at IS 'When it became final here.';
CREATE UNIQUE INDEX home_change_moving ON meridian.home_change ((true)) WHERE state = 'moving';
COMMENT ON INDEX meridian.home_change_moving IS 'One change at a time.';
REVOKE ALL ON meridian.home_change FROM PUBLIC;
GRANT SELECT ON meridian.home_change TO meridian_admin;

CREATE FUNCTION meridian.note_home_change() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'meridian_note_home_change';
COMMENT ON FUNCTION meridian.note_home_change() IS 'Trigger of the tables that homes are found by: makes every session read them again after commit.';

CREATE TRIGGER note_home_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meridian.home_map
  FOR EACH STATEMENT EXECUTE FUNCTION meridian.note_home_change();
ALTER TABLE meridian.home_map ENABLE ALWAYS TRIGGER note_home_change;
COMMENT ON TRIGGER note_home_change ON meridian.home_map IS 'Drops the copy in shared memory.';
CREATE TRIGGER note_home_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meridian.home_pin
  FOR EACH STATEMENT EXECUTE FUNCTION meridian.note_home_change();
ALTER TABLE meridian.home_pin ENABLE ALWAYS TRIGGER note_home_change;
COMMENT ON TRIGGER note_home_change ON meridian.home_pin IS 'Drops the copy in shared memory.';
CREATE TRIGGER note_home_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meridian.home_change
  FOR EACH STATEMENT EXECUTE FUNCTION meridian.note_home_change();
ALTER TABLE meridian.home_change ENABLE ALWAYS TRIGGER note_home_change;
COMMENT ON TRIGGER note_home_change ON meridian.home_change IS 'Drops the copy in shared memory.';
CREATE TRIGGER note_home_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meridian.member
  FOR EACH STATEMENT EXECUTE FUNCTION meridian.note_home_change();
ALTER TABLE meridian.member ENABLE ALWAYS TRIGGER note_home_change;
COMMENT ON TRIGGER note_home_change ON meridian.member IS 'Drops the copy in shared memory of which server serves which region.';
CREATE TRIGGER note_home_change AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON meridian.local_member
  FOR EACH STATEMENT EXECUTE FUNCTION meridian.note_home_change();
ALTER TABLE meridian.local_member ENABLE ALWAYS TRIGGER note_home_change;
COMMENT ON TRIGGER note_home_change ON meridian.local_member IS 'Drops the copy in shared memory of which region this is.';

-- What anybody may ask ---------------------------------------------------------------------------------------------

CREATE VIEW meridian.home_regions AS
  SELECT r.region, r.weight, r.position::integer - 1 AS position, m.rule, m.epoch,
         (SELECT count(*) FROM meridian.member n WHERE n.region = r.region AND n.state = 'active')::integer AS members,
         (SELECT count(*) FROM meridian.home_pin p WHERE p.region = r.region) AS pinned_keys
    FROM meridian.home_map m, ROWS FROM (unnest(m.regions), unnest(m.weights)) WITH ORDINALITY r(region, weight, position);
COMMENT ON VIEW meridian.home_regions IS 'The home regions.';
COMMENT ON COLUMN meridian.home_regions.region IS 'Name of the region.';
COMMENT ON COLUMN meridian.home_regions.weight IS 'Its share of the keys under rule hash, relative to the others.';
COMMENT ON COLUMN meridian.home_regions.position IS 'The remainder whose keys it has under rule modulo.';
COMMENT ON COLUMN meridian.home_regions.rule IS 'Rule of the map.';
COMMENT ON COLUMN meridian.home_regions.epoch IS 'Number of the change that made the map.';
COMMENT ON COLUMN meridian.home_regions.members IS 'Members that serve the region; without one its keys cannot be written.';
COMMENT ON COLUMN meridian.home_regions.pinned_keys IS 'Keys that the directory gives to it.';
GRANT SELECT ON meridian.home_regions TO PUBLIC;

CREATE VIEW meridian.rehome_status AS
  SELECT epoch, state, kind, key, region, regions, weights, rule, lost, lost_after, requested_by, began_at, ended_at
    FROM meridian.home_change;
COMMENT ON VIEW meridian.rehome_status IS 'Changes of homes as this member knows them: the one that is in progress has state moving.';
COMMENT ON COLUMN meridian.rehome_status.epoch IS 'Number of the change.';
COMMENT ON COLUMN meridian.rehome_status.state IS 'moving: the keys that move have no home until the change is done or aborted. An interrupted one is finished by the next call of any function that changes homes, or by meridian.finish_rehoming().';
COMMENT ON COLUMN meridian.rehome_status.kind IS 'map or pin.';
COMMENT ON COLUMN meridian.rehome_status.key IS 'The key that is pinned, unpinned or moved.';
COMMENT ON COLUMN meridian.rehome_status.region IS 'Its new home; NULL: where the map says.';
COMMENT ON COLUMN meridian.rehome_status.regions IS 'Regions of the new map.';
COMMENT ON COLUMN meridian.rehome_status.weights IS 'Their weights.';
COMMENT ON COLUMN meridian.rehome_status.rule IS 'Rule of the new map.';
COMMENT ON COLUMN meridian.rehome_status.lost IS 'Members that were given up by force.';
COMMENT ON COLUMN meridian.rehome_status.lost_after IS 'Of each of these, how far its writes had come: what it accepted later is lost, or comes back as concurrent writes.';
COMMENT ON COLUMN meridian.rehome_status.requested_by IS 'The role that asked for it.';
COMMENT ON COLUMN meridian.rehome_status.began_at IS 'When this member heard of it first.';
COMMENT ON COLUMN meridian.rehome_status.ended_at IS 'When it became final here.';
REVOKE ALL ON meridian.rehome_status FROM PUBLIC;
GRANT SELECT ON meridian.rehome_status TO meridian_admin;

CREATE FUNCTION meridian.home_region(key text) RETURNS text
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_home_region';
COMMENT ON FUNCTION meridian.home_region(text) IS 'The home of a key: the one region that may write it. From shared memory.';

CREATE FUNCTION meridian.home_region(key anyelement) RETURNS text
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_home_region_of';
COMMENT ON FUNCTION meridian.home_region(anyelement) IS 'The home of a key of any type, found by its text form; keys of several columns as ROW(a, b).';

CREATE FUNCTION meridian.home_regions(keys text[]) RETURNS text[]
  LANGUAGE c STABLE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_home_regions';
COMMENT ON FUNCTION meridian.home_regions(text[]) IS 'The homes of many keys, in their order; NULL for a key that is NULL.';

CREATE FUNCTION meridian.route_write(key text DEFAULT NULL, OUT node text, OUT dsn text, OUT region text, OUT reason text)
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_route_write';
COMMENT ON FUNCTION meridian.route_write(text) IS 'Where to write a key: the primary of its home region, its connection string without passwords, and why. Without a key: the primary of this region. From shared memory.';

CREATE FUNCTION meridian.local_region() RETURNS text
  LANGUAGE c STABLE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_local_region';
COMMENT ON FUNCTION meridian.local_region() IS 'The region of this member, as default of a column that names the home of its row.';

CREATE FUNCTION meridian.enforce_home() RETURNS trigger
  LANGUAGE c AS 'MODULE_PATHNAME', 'meridian_enforce_home';
COMMENT ON FUNCTION meridian.enforce_home() IS 'Trigger BEFORE INSERT OR UPDATE OR DELETE FOR EACH ROW: refuses a write whose key has its home elsewhere, with SQLSTATE MD050 and the home as JSON in the DETAIL. Arguments: the key column; the parent''s key column as table.column, if the key is that of the row that the column refers to; mode=error, mode=warn, or mode=forward, which writes the row in its home instead; region_column=column, which names the home of keys that are not pinned.';

-- Steps ------------------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.next_home_state(state text, step text) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_next_home_state';
COMMENT ON FUNCTION meridian.next_home_state(text, text) IS 'Step: what a change that is unknown, moving, done or aborted becomes by prepare, commit or abort; raises 55000 with the reason if that is refused.';
REVOKE ALL ON FUNCTION meridian.next_home_state(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.next_home_state(text, text) TO meridian_admin;

CREATE FUNCTION meridian.decide_home_change(states text[], all_asked boolean) RETURNS text
  LANGUAGE c IMMUTABLE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_decide_home_change';
COMMENT ON FUNCTION meridian.decide_home_change(text[], boolean) IS 'Step: what becomes of an interrupted change in these states: commit, abort, wait or nothing.';
REVOKE ALL ON FUNCTION meridian.decide_home_change(text[], boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.decide_home_change(text[], boolean) TO meridian_admin;

CREATE FUNCTION meridian.end_home_lease() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_end_home_lease';
COMMENT ON FUNCTION meridian.end_home_lease() IS 'Step: who votes about leases changes with this transaction; this server''s must be acknowledged anew.';
REVOKE ALL ON FUNCTION meridian.end_home_lease() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.end_home_lease() TO meridian_admin;

CREATE FUNCTION meridian.members_given_up() RETURNS boolean
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE((SELECT c.lost <> '{}' FROM meridian.home_change c WHERE c.state = 'done' ORDER BY c.epoch DESC LIMIT 1), false)
$$;
COMMENT ON FUNCTION meridian.members_given_up() IS 'Step: whether the last change of homes was made without members that could not be reached.';
REVOKE ALL ON FUNCTION meridian.members_given_up() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.members_given_up() TO meridian_admin;

CREATE FUNCTION meridian.prepare_home(epoch bigint, kind text, key text, region text, rule text, regions text[], weights integer[],
                                      lost text[], lost_after jsonb, requested_by text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  known text := (SELECT c.state FROM meridian.home_change c WHERE c.epoch = prepare_home.epoch);
BEGIN
  PERFORM meridian.next_home_state(COALESCE(known, 'unknown'), 'prepare');
  IF known IS NOT NULL THEN
    RETURN;
  END IF;
  IF EXISTS (SELECT FROM meridian.home_change c WHERE c.epoch > prepare_home.epoch) THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = 'a later change of homes is known here';
  END IF;
  PERFORM meridian.end_home_lease() WHERE lost <> '{}' OR meridian.members_given_up();
  INSERT INTO meridian.home_change (epoch, state, kind, key, region, rule, regions, weights, lost, lost_after, requested_by)
    VALUES ($1, 'moving', $2, $3, $4, $5, $6, $7, $8, $9, $10);
END
$$;
COMMENT ON FUNCTION meridian.prepare_home(bigint, text, text, text, text, text[], integer[], text[], jsonb, text) IS 'Step: from its commit on, keys that the change moves are not written here.';
REVOKE ALL ON FUNCTION meridian.prepare_home(bigint, text, text, text, text, text[], integer[], text[], jsonb, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.prepare_home(bigint, text, text, text, text, text[], integer[], text[], jsonb, text) TO meridian_admin;

CREATE FUNCTION meridian.wait_for_home_writers() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_wait_for_home_writers';
COMMENT ON FUNCTION meridian.wait_for_home_writers() IS 'Step: waits for the end of every transaction that has written a key with a home region and has not ended yet.';
REVOKE ALL ON FUNCTION meridian.wait_for_home_writers() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.wait_for_home_writers() TO meridian_admin;

CREATE FUNCTION meridian.finish_home(epoch bigint, step text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
#variable_conflict use_column
DECLARE
  change meridian.home_change;
  outcome text;
BEGIN
  SELECT * INTO change FROM meridian.home_change c WHERE c.epoch = finish_home.epoch FOR UPDATE;
  outcome := meridian.next_home_state(COALESCE(change.state, 'unknown'), step);
  IF outcome = change.state THEN
    RETURN;
  END IF;
  PERFORM meridian.end_home_lease() WHERE change.lost <> '{}' OR meridian.members_given_up();
  INSERT INTO meridian.home_change AS c (epoch, state, ended_at) VALUES ($1, outcome, now())
    ON CONFLICT (epoch) DO UPDATE SET state = EXCLUDED.state, ended_at = EXCLUDED.ended_at;
  IF outcome = 'done' AND change.kind = 'map' THEN
    INSERT INTO meridian.home_map AS m (epoch, rule, regions, weights)
      VALUES ($1, change.rule, change.regions, change.weights)
      ON CONFLICT (only_row) DO UPDATE SET epoch = EXCLUDED.epoch, rule = EXCLUDED.rule, regions = EXCLUDED.regions, weights = EXCLUDED.weights;
    -- Only a region that was given up by force has pinned keys when it is dropped.
    UPDATE meridian.home_pin p SET region = NULL, epoch = $1 WHERE p.region <> ALL (change.regions);
  ELSIF outcome = 'done' THEN
    INSERT INTO meridian.home_pin AS p (key, region, epoch) VALUES (change.key, change.region, $1)
      ON CONFLICT (key) DO UPDATE SET region = EXCLUDED.region, epoch = EXCLUDED.epoch;
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.finish_home(bigint, text) IS 'Step: commit or abort of a change. It is never taken back.';
REVOKE ALL ON FUNCTION meridian.finish_home(bigint, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.finish_home(bigint, text) TO meridian_admin;

CREATE FUNCTION meridian.home_standing()
  RETURNS TABLE (epoch bigint, final boolean, lost text[])
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT COALESCE(c.epoch, 0), COALESCE(c.state <> 'moving', true), COALESCE(c.lost, '{}')
    FROM (SELECT max(h.epoch) FROM meridian.home_change h) last(epoch) LEFT JOIN meridian.home_change c USING (epoch)
$$;
COMMENT ON FUNCTION meridian.home_standing() IS 'Step: the last change of homes that this member knows, and whether it is over; 0 if there was none.';
REVOKE ALL ON FUNCTION meridian.home_standing() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.home_standing() TO meridian_admin;

CREATE FUNCTION meridian.export_homes(epoch bigint, final boolean) RETURNS jsonb
  LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
  SELECT jsonb_build_object('map', (SELECT COALESCE(jsonb_agg(m), '[]') FROM meridian.home_map m),
                            'pins', (SELECT COALESCE(jsonb_agg(p), '[]') FROM meridian.home_pin p),
                            'changes', (SELECT COALESCE(jsonb_agg(c), '[]') FROM meridian.home_change c))
    FROM meridian.home_standing() s WHERE (s.epoch, s.final) > ($1, $2)
$$;
COMMENT ON FUNCTION meridian.export_homes(bigint, boolean) IS 'Step: all that this member knows of homes, if that is more than the caller knows.';
REVOKE ALL ON FUNCTION meridian.export_homes(bigint, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.export_homes(bigint, boolean) TO meridian_admin;

CREATE FUNCTION meridian.homes_confirmed() RETURNS boolean
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_homes_confirmed';
COMMENT ON FUNCTION meridian.homes_confirmed() IS 'Whether this server has asked the other members about the homes of keys since it started or was promoted. Until then it writes no key with a home region.';

CREATE FUNCTION meridian.confirm_homes() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_confirm_homes';
COMMENT ON FUNCTION meridian.confirm_homes() IS 'Lets this server write the keys of its region although the other members could not be asked. If they have taken keys by force, those then have two homes.';
REVOKE ALL ON FUNCTION meridian.confirm_homes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.confirm_homes() TO meridian_admin;

CREATE FUNCTION meridian.doubt_homes() RETURNS void
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_doubt_homes';
COMMENT ON FUNCTION meridian.doubt_homes() IS 'Step: makes this server ask the other members about homes again, and write no key with a home region until it has.';
REVOKE ALL ON FUNCTION meridian.doubt_homes() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.doubt_homes() TO meridian_admin;

CREATE FUNCTION meridian.adopt_homes(homes jsonb) RETURNS boolean
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  ours record;
  theirs record;
BEGIN
  LOCK TABLE meridian.home_change IN EXCLUSIVE MODE;
  SELECT t.epoch, t.final INTO ours FROM meridian.home_standing() t;
  SELECT c.epoch, c.state <> 'moving' AS final INTO theirs
    FROM jsonb_populate_recordset(NULL::meridian.home_change, homes -> 'changes') c ORDER BY c.epoch DESC LIMIT 1;
  IF NOT FOUND OR (theirs.epoch, theirs.final) <= (ours.epoch, ours.final) THEN
    RETURN false;
  END IF;
  PERFORM meridian.end_home_lease();
  DELETE FROM meridian.home_change;
  DELETE FROM meridian.home_pin;
  DELETE FROM meridian.home_map;
  INSERT INTO meridian.home_change SELECT * FROM jsonb_populate_recordset(NULL::meridian.home_change, homes -> 'changes');
  INSERT INTO meridian.home_pin SELECT * FROM jsonb_populate_recordset(NULL::meridian.home_pin, homes -> 'pins');
  INSERT INTO meridian.home_map SELECT * FROM jsonb_populate_recordset(NULL::meridian.home_map, homes -> 'map');
  RETURN true;
END
$$;
COMMENT ON FUNCTION meridian.adopt_homes(jsonb) IS 'Step: takes over what another member exported, if that knows a later change, or the end of one that is in progress here. True if so.';
REVOKE ALL ON FUNCTION meridian.adopt_homes(jsonb) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.adopt_homes(jsonb) TO meridian_admin;

-- Changing homes ---------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.add_region(name text, weight integer DEFAULT 1) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_add_region';
COMMENT ON FUNCTION meridian.add_region(text, integer) IS 'Adds a home region, on all members; keys that it gets are not written until all that their old homes wrote is there. Returns the number of the change.';
REVOKE ALL ON FUNCTION meridian.add_region(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.add_region(text, integer) TO meridian_admin;

CREATE FUNCTION meridian.drop_region(name text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_drop_region';
COMMENT ON FUNCTION meridian.drop_region(text) IS 'Drops a home region; its keys go to the others. Keys that are pinned to it must be moved or unpinned before.';
REVOKE ALL ON FUNCTION meridian.drop_region(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.drop_region(text) TO meridian_admin;

CREATE FUNCTION meridian.set_region(name text, weight integer) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_set_region';
COMMENT ON FUNCTION meridian.set_region(text, integer) IS 'Changes the weight of a home region; 0 leaves it only pinned keys.';
REVOKE ALL ON FUNCTION meridian.set_region(text, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.set_region(text, integer) TO meridian_admin;

CREATE FUNCTION meridian.set_home_rule(rule text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_set_home_rule';
COMMENT ON FUNCTION meridian.set_home_rule(text) IS 'Changes the rule for keys that are not pinned: hash, or modulo for keys that are integers.';
REVOKE ALL ON FUNCTION meridian.set_home_rule(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.set_home_rule(text) TO meridian_admin;

CREATE FUNCTION meridian.pin_home(key text, region text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_pin_home';
COMMENT ON FUNCTION meridian.pin_home(text, text) IS 'Gives a key a home in the directory, whatever the map says; moves it there if it is elsewhere. Returns the number of the change.';
REVOKE ALL ON FUNCTION meridian.pin_home(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.pin_home(text, text) TO meridian_admin;

CREATE FUNCTION meridian.rehome(key text, region text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_pin_home';
COMMENT ON FUNCTION meridian.rehome(text, text) IS 'Moves a key to another home under load: its old home stops writing it, all that it wrote becomes visible at the new one, which then goes on. The same as pin_home().';
REVOKE ALL ON FUNCTION meridian.rehome(text, text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.rehome(text, text) TO meridian_admin;

CREATE FUNCTION meridian.unpin_home(key text) RETURNS bigint
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_unpin_home';
COMMENT ON FUNCTION meridian.unpin_home(text) IS 'Lets a key follow the map again; moves it if that is another home.';
REVOKE ALL ON FUNCTION meridian.unpin_home(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.unpin_home(text) TO meridian_admin;

CREATE FUNCTION meridian.take_home(what text, region text DEFAULT NULL, force boolean DEFAULT false) RETURNS bigint
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_take_home';
COMMENT ON FUNCTION meridian.take_home(text, text, boolean) IS 'Takes a key to a region (NULL: that of this node), or, if what is the name of a home region, drops that region and its pins. With force, without the members that cannot be reached: those must be down, or a key has two homes for a while. What they had accepted and not sent is lost; see meridian.rehome_status.';
REVOKE ALL ON FUNCTION meridian.take_home(text, text, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.take_home(text, text, boolean) TO meridian_admin;

CREATE FUNCTION meridian.finish_rehoming() RETURNS text
  LANGUAGE c VOLATILE AS 'MODULE_PATHNAME', 'meridian_finish_rehoming';
COMMENT ON FUNCTION meridian.finish_rehoming() IS 'Finishes a change of homes that was interrupted: commit if some member has committed it, else abort; nothing if none is in progress.';
REVOKE ALL ON FUNCTION meridian.finish_rehoming() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.finish_rehoming() TO meridian_admin;
