-- Dead letters: events that a target has refused for good, put aside by a sink with on_error = dead_letter. The table is in 91_sinks.sql.

CREATE VIEW meridian.dead_letters AS
  SELECT d.id, d.sink, d.at, d."position", d.topic, d.key::jsonb AS key, d.value::jsonb AS value, d.headers::jsonb AS headers, d.reason, d.state
    FROM meridian.dead_letter d;
COMMENT ON VIEW meridian.dead_letters IS 'Events that a target has refused for good.';
COMMENT ON COLUMN meridian.dead_letters.state IS 'waiting; asked (retry_dead_letter() was called); superseded (a later event of the same key was delivered, so it must not be tried again).';
GRANT SELECT ON meridian.dead_letters TO meridian_admin;

CREATE FUNCTION meridian.retry_dead_letter(id bigint) RETURNS void
  LANGUAGE plpgsql SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  UPDATE meridian.dead_letter d SET state = 'asked' WHERE d.id = retry_dead_letter.id AND d.state <> 'superseded';
  IF NOT FOUND THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no dead letter %s to try again', id),
      HINT = 'See the view meridian.dead_letters; one that is superseded has been replaced by a later event.';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.retry_dead_letter(bigint) IS 'Has the sink try an event again that its target has refused. It goes when it is taken.';
REVOKE ALL ON FUNCTION meridian.retry_dead_letter(bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.retry_dead_letter(bigint) TO meridian_admin;

-- For the program ----------------------------------------------------------------------------------------------------

CREATE FUNCTION meridian.put_dead_letter(sink text, "position" text, topic text, key text, value text, headers text, reason text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$
  INSERT INTO meridian.dead_letter (sink, "position", topic, key, value, headers, reason)
    SELECT $1, $2, $3, $4, $5, $6, $7
     WHERE NOT EXISTS (SELECT FROM meridian.dead_letter d WHERE d.sink = $1 AND d."position" = $2)
$$;
COMMENT ON FUNCTION meridian.put_dead_letter(text, text, text, text, text, text, text) IS 'Puts an event aside that a target has refused for good.';
REVOKE ALL ON FUNCTION meridian.put_dead_letter(text, text, text, text, text, text, text) FROM PUBLIC;

CREATE FUNCTION meridian.supersede_dead_letters(sink text, topic text, key text) RETURNS void
  LANGUAGE sql SET search_path = pg_catalog, pg_temp
AS $$ UPDATE meridian.dead_letter d SET state = 'superseded' WHERE d.sink = $1 AND d.topic = $2 AND d.key IS NOT DISTINCT FROM $3 $$;
COMMENT ON FUNCTION meridian.supersede_dead_letters(text, text, text) IS 'A later event of this key was delivered.';
REVOKE ALL ON FUNCTION meridian.supersede_dead_letters(text, text, text) FROM PUBLIC;

CREATE FUNCTION meridian.keys_put_aside(sink text) RETURNS TABLE (topic text, key text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$ SELECT DISTINCT d.topic, d.key FROM meridian.dead_letter d WHERE d.sink = $1 AND d.state <> 'superseded' $$;
COMMENT ON FUNCTION meridian.keys_put_aside(text) IS 'Keys of which a sink has put something aside.';
REVOKE ALL ON FUNCTION meridian.keys_put_aside(text) FROM PUBLIC;

CREATE FUNCTION meridian.dead_letters_to_retry(sink text)
  RETURNS TABLE (id bigint, event_position text, topic text, event_key text, event_value text, headers text)
  LANGUAGE sql STABLE SET search_path = pg_catalog, pg_temp
AS $$
  SELECT d.id, d."position", d.topic, d.key, d.value, d.headers FROM meridian.dead_letter d WHERE d.sink = $1 AND d.state = 'asked' ORDER BY d.id LIMIT 100
$$;
COMMENT ON FUNCTION meridian.dead_letters_to_retry(text) IS 'Events that somebody asked to try again.';
REVOKE ALL ON FUNCTION meridian.dead_letters_to_retry(text) FROM PUBLIC;

CREATE FUNCTION meridian.settle_dead_letter(id bigint, delivered boolean, reason text) RETURNS void
  LANGUAGE plpgsql SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF delivered THEN
    DELETE FROM meridian.dead_letter d WHERE d.id = settle_dead_letter.id;
  ELSE
    UPDATE meridian.dead_letter d SET state = 'waiting', reason = settle_dead_letter.reason WHERE d.id = settle_dead_letter.id AND d.state = 'asked';
  END IF;
END
$$;
COMMENT ON FUNCTION meridian.settle_dead_letter(bigint, boolean, text) IS 'What became of an event that was tried again.';
REVOKE ALL ON FUNCTION meridian.settle_dead_letter(bigint, boolean, text) FROM PUBLIC;
