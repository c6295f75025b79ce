-- Tokens: reading one's own writes from any server.

CREATE FUNCTION meridian.last_write_token() RETURNS text
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_last_write_token';
COMMENT ON FUNCTION meridian.last_write_token() IS 'Token of the last commit of this session that wrote; NULL if there was none. The server reports the same as setting meridian.last_write with the reply to each such commit, so a client that reads ParameterStatus need not ask.';

CREATE FUNCTION meridian.check_token(token text) RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_check_token';
COMMENT ON FUNCTION meridian.check_token(text) IS 'Whether all that the token speaks of can be read on this server now: yes, not_yet, lost (a failover left it behind), foreign (another cluster''s), future (this server is the one that would have issued it, and has not), or invalid. Never waits.';

CREATE FUNCTION meridian.merge_tokens(a text, b text) RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL SAFE AS 'MODULE_PATHNAME', 'meridian_merge_tokens';
COMMENT ON FUNCTION meridian.merge_tokens(text, text) IS 'A token that speaks of all that either of the two speaks of. The empty text is the token of nothing.';

CREATE FUNCTION meridian.wait_for(token text, timeout interval DEFAULT '1s') RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_wait_for';
COMMENT ON FUNCTION meridian.wait_for(text, interval) IS 'Waits until all that the token speaks of can be read on this server: reached, timeout, or at once lost, foreign, future or invalid. The statement that calls it holds a snapshot meanwhile, and does not see what it waited for: read in the next one. Better: SET meridian.read_after, which waits without a snapshot.';

CREATE FUNCTION meridian.read_wait_status(OUT places integer, OUT waiting integer, OUT dispatcher_pid integer,
                                          OUT waits bigint, OUT polled bigint, OUT timeouts bigint)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_read_wait_status';
COMMENT ON FUNCTION meridian.read_wait_status() IS 'The row of the view meridian.wait_status.';

CREATE VIEW meridian.wait_status AS
  SELECT places, waiting, dispatcher_pid, waits, polled, timeouts FROM meridian.read_wait_status();
COMMENT ON VIEW meridian.wait_status IS 'Waits for tokens on this server since it started; NULLs if meridian was not loaded at server start.';
COMMENT ON COLUMN meridian.wait_status.places IS 'How many sessions can wait without polling: meridian.max_waiters.';
COMMENT ON COLUMN meridian.wait_status.waiting IS 'How many do so now.';
COMMENT ON COLUMN meridian.wait_status.dispatcher_pid IS 'The worker that wakes them; NULL if it does not run.';
COMMENT ON COLUMN meridian.wait_status.waits IS 'Waits that had to sleep.';
COMMENT ON COLUMN meridian.wait_status.polled IS 'Of these, waits that polled, because all places were taken or the worker did not run.';
COMMENT ON COLUMN meridian.wait_status.timeouts IS 'Of these, waits that ended without success by time, or because replay waited for them.';
GRANT SELECT ON meridian.wait_status TO PUBLIC;
