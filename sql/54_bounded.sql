-- Rights to bounded columns: who has them, and moving them by hand.

CREATE FUNCTION meridian.row_rights(rel regclass, key text[], column_name name)
  RETURNS TABLE (member integer, epoch integer, may_subtract numeric, may_add numeric)
  LANGUAGE c STABLE STRICT AS 'MODULE_PATHNAME', 'meridian_row_rights';
COMMENT ON FUNCTION meridian.row_rights(regclass, text[], name) IS 'As meridian.rights(), with numbers instead of names.';

CREATE FUNCTION meridian.member_name(member integer) RETURNS text
  LANGUAGE sql STABLE STRICT SECURITY DEFINER SET search_path = pg_catalog, pg_temp
AS $$ SELECT m.name FROM meridian.member m WHERE m.id = $1 $$;
COMMENT ON FUNCTION meridian.member_name(integer) IS 'Name of a member; NULL if there is none of that number.';

CREATE FUNCTION meridian.rights(rel regclass, key text[], column_name name)
  RETURNS TABLE (node text, member integer, epoch integer, may_subtract numeric, may_add numeric)
  LANGUAGE sql STABLE STRICT SET search_path = pg_catalog, pg_temp
AS $$
  SELECT meridian.member_name(r.member), r.member, r.epoch, r.may_subtract, r.may_add
    FROM meridian.row_rights($1, $2, $3) r
   ORDER BY r.member, r.epoch
$$;
COMMENT ON FUNCTION meridian.rights(regclass, text[], name) IS 'By how much each node may change a bounded column of the row with this primary key (an array with the text of each key column), as far as this node knows. All together may subtract value - minimum and add maximum - value; may_add is NULL without a maximum. Of a promoted or restored node only the row with its present epoch is in use. Needs SELECT on the table.';

CREATE FUNCTION meridian.give_rights(rel regclass, key text[], column_name name, member integer, epoch integer, amount numeric, to_add boolean) RETURNS void
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_give_rights';
COMMENT ON FUNCTION meridian.give_rights(regclass, text[], name, integer, integer, numeric, boolean) IS 'As meridian.transfer_rights(), with numbers instead of a name.';
REVOKE ALL ON FUNCTION meridian.give_rights(regclass, text[], name, integer, integer, numeric, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.give_rights(regclass, text[], name, integer, integer, numeric, boolean) TO meridian_admin;

CREATE FUNCTION meridian.transfer_rights(rel regclass, key text[], column_name name, to_node text, amount numeric, to_add boolean DEFAULT false) RETURNS void
  LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp
AS $$
DECLARE
  receiver integer := (SELECT m.id FROM meridian.member m WHERE m.name = to_node);
  present integer := (SELECT p.epoch FROM meridian.progress p WHERE p.member = receiver);
BEGIN
  IF receiver IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'undefined_object', MESSAGE = format('there is no member "%s"', to_node),
      HINT = 'See the view meridian.nodes.';
  ELSIF receiver = (SELECT l.member FROM meridian.local_member l) THEN
    RAISE EXCEPTION USING ERRCODE = 'invalid_parameter_value', MESSAGE = 'rights cannot be transferred to the node that has them',
      HINT = 'Name another node; run the function on the node that gives.';
  ELSIF present IS NULL THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('member "%s" has not been heard of yet', to_node),
      HINT = 'Try again when changes of it arrive here.';
  END IF;
  PERFORM meridian.give_rights(rel, key, column_name, receiver, present, amount, to_add);
END
$$;
COMMENT ON FUNCTION meridian.transfer_rights(regclass, text[], name, text, numeric, boolean) IS 'Gives rights of this node to subtract from a bounded column of one row (or, with to_add, to add to it) to another node. Run on the node that gives; needs UPDATE on the table. Rights also move by themselves when a node runs out.';
REVOKE ALL ON FUNCTION meridian.transfer_rights(regclass, text[], name, text, numeric, boolean) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.transfer_rights(regclass, text[], name, text, numeric, boolean) TO meridian_admin;

CREATE FUNCTION meridian.take_over_rights(rel regclass, key text[], column_name name, member integer) RETURNS integer
  LANGUAGE c VOLATILE STRICT AS 'MODULE_PATHNAME', 'meridian_take_over_rights';
COMMENT ON FUNCTION meridian.take_over_rights(regclass, text[], name, integer) IS 'As meridian.seize_rights(), without checks.';
REVOKE ALL ON FUNCTION meridian.take_over_rights(regclass, text[], name, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.take_over_rights(regclass, text[], name, integer) TO meridian_admin;

CREATE FUNCTION meridian.seize_rights(rel regclass, key text[], column_name name, member integer) RETURNS integer
  LANGUAGE plpgsql STRICT SET search_path = pg_catalog, pg_temp
AS $$
BEGIN
  IF EXISTS (SELECT FROM meridian.member m WHERE m.id = seize_rights.member)
     AND seize_rights.member IS DISTINCT FROM (SELECT l.member FROM meridian.local_member l) THEN
    RAISE EXCEPTION USING ERRCODE = 'object_not_in_prerequisite_state', MESSAGE = format('"%s" is a member and may use its rights', meridian.member_name(seize_rights.member)),
      HINT = 'Only rights of this node from before its epoch was raised, and of members that have been dropped, can be seized.';
  END IF;
  RETURN meridian.take_over_rights(rel, key, column_name, seize_rights.member);
END
$$;
COMMENT ON FUNCTION meridian.seize_rights(regclass, text[], name, integer) IS 'Takes over the rights to one row that are stranded with an earlier epoch of this node (after a promotion, restore or upgrade), or with a member that was dropped; returns from how many epochs. The value leaves its bounds if the old server still runs, if changes that it wrote have not arrived here (meridian.heal() first), or if two nodes seize the same rights.';
REVOKE ALL ON FUNCTION meridian.seize_rights(regclass, text[], name, integer) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION meridian.seize_rights(regclass, text[], name, integer) TO meridian_admin;
