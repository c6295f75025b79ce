-- Which server a read should go to.

CREATE FUNCTION meridian.route_read(session text DEFAULT NULL, token text DEFAULT NULL, max_lag interval DEFAULT NULL,
                                    region text DEFAULT NULL, OUT node text, OUT dsn text, OUT role text, OUT reason text)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_route_read';
COMMENT ON FUNCTION meridian.route_read(text, text, interval, text) IS 'The best server for a read, from shared memory, without asking anybody: a replica that has what the session or token speaks of, within the lag (default: meridian.max_lag), in the region (default: this server''s), by weight; else the primary, with the reason. dsn is its address, without user and password.';

CREATE FUNCTION meridian.explain_route_read(session text DEFAULT NULL, token text DEFAULT NULL, max_lag interval DEFAULT NULL,
                                            region text DEFAULT NULL)
  RETURNS TABLE (node text, role text, server_region text, state text, chosen boolean, verdict text, lag interval, sample_age interval)
  LANGUAGE c VOLATILE PARALLEL RESTRICTED ROWS 10 AS 'MODULE_PATHNAME', 'meridian_explain_route_read';
COMMENT ON FUNCTION meridian.explain_route_read(text, text, interval, text) IS 'Every server that route_read() chooses from, and what speaks for or against it. Of several that qualify route_read() takes one at random, by weight.';

CREATE FUNCTION meridian.conninfo(purpose text, balance boolean DEFAULT false) RETURNS text
  LANGUAGE c VOLATILE STRICT PARALLEL RESTRICTED AS 'MODULE_PATHNAME', 'meridian_conninfo';
COMMENT ON FUNCTION meridian.conninfo(text, boolean) IS 'A connection string of several hosts for libpq, the best first: read, write, read:<region> or write:<region>. balance: replicas of the region in random order, for clients of libpq 16 or later. User and password are the client''s own. It tells how things are now: ask again when it fails.';
