#include "core/conflict_text.hpp"

#include <gtest/gtest.h>

namespace meridian {
namespace {

ConflictFacts facts(std::string_view kind, std::string_view winner, std::string_view rule) {
  return {"person", R"({"id": 1})", kind, winner, rule, {"us", "10:00"}, {"eu", "10:01"}};
}

constexpr std::string_view whole = "row=lww";
constexpr std::string_view columns = "email=lww, n=counter";

TEST(ConflictText, UpdatesOfAWholeRow) {
  EXPECT_EQ(
      explain_conflict(facts("update_update", "incoming", whole)),
      "Row {\"id\": 1} of person: us updated it at 10:00 and eu updated it at 10:01, neither having seen the "
      "other's write. The row of eu won, because its write is the later one (row=lww); what us wrote is kept only "
      "here, in local_row.");
  EXPECT_EQ(
      explain_conflict(facts("update_update", "local", whole)),
      "Row {\"id\": 1} of person: us updated it at 10:00 and eu updated it at 10:01, neither having seen the "
      "other's write. The row of us won, because its write is the later one (row=lww); what eu wrote is kept only "
      "here, in remote_row.");
}

TEST(ConflictText, UpdatesOfColumns) {
  EXPECT_EQ(
      explain_conflict(facts("update_update", "incoming", columns)),
      "Row {\"id\": 1} of person: us updated it at 10:00 and eu updated it at 10:01, neither having seen the "
      "other's write. Of the last-writer-wins columns that both wrote, those of eu won, because its write is the "
      "later one (email=lww, n=counter); columns whose rule merges hold both sides, and the rest of what us wrote "
      "is kept only here, in local_row.");
  EXPECT_EQ(
      explain_conflict(facts("update_update", "merged", columns)),
      "Row {\"id\": 1} of person: us updated it at 10:00 and eu updated it at 10:01, neither having seen the "
      "other's write. Neither row won as a whole: every group of columns holds its later write, and columns whose "
      "rule merges hold both sides (email=lww, n=counter); both rows as they met are kept here, in local_row and "
      "remote_row.");
}

TEST(ConflictText, InsertsAreComparedByTheInsert) {
  EXPECT_EQ(
      explain_conflict(facts("insert_insert", "local", columns)),
      "Row {\"id\": 1} of person: us inserted it at 10:00 and eu inserted it at 10:01, neither having seen the "
      "other's write. Of the last-writer-wins columns that both wrote, those of us won, because its insert is the "
      "later one (email=lww, n=counter); columns whose rule merges hold both sides, and the rest of what eu wrote "
      "is kept only here, in remote_row.");
  const std::string text = explain_conflict(facts("insert_insert", "incoming", whole));
  EXPECT_NE(text.find("The row of eu won, because its insert is the later one"), std::string::npos) << text;
}

TEST(ConflictText, ARowFromBeforeReplicationHasNoTime) {
  ConflictFacts old = facts("insert_insert", "merged", whole);
  old.incoming = {"before replication", ""};
  EXPECT_EQ(
      explain_conflict(old),
      "Row {\"id\": 1} of person: us inserted it at 10:00 and it was there before replication, neither having seen "
      "the other's write. The row with the later write was taken as a whole (row=lww); the other side had no write "
      "of its own that could be lost.");
  old.winner = "local";
  const std::string text = explain_conflict(old);
  EXPECT_NE(text.find("what the older row held is kept only here, in remote_row"), std::string::npos) << text;
}

TEST(ConflictText, DeletesThatWin) {
  EXPECT_EQ(
      explain_conflict(facts("update_delete", "incoming", whole)),
      "Row {\"id\": 1} of person: us wrote it at 10:00 and eu deleted it at 10:01, neither having seen the other's "
      "write. The delete of eu won, because it is the later of the two (row=lww); the row that us wrote is kept "
      "only here, in local_row.");
  EXPECT_EQ(
      explain_conflict(facts("delete_update", "local", columns)),
      "Row {\"id\": 1} of person: us deleted it at 10:00 and eu wrote it at 10:01, neither having seen the other's "
      "write. The delete of us won, because a delete ends the life of the row that it knew, whatever is written to "
      "it at the same time (email=lww, n=counter); the row that eu wrote is kept only here, in remote_row.");
}

TEST(ConflictText, RowsThatSurviveADelete) {
  EXPECT_EQ(
      explain_conflict(facts("update_delete", "local", whole)),
      "Row {\"id\": 1} of person: us wrote it at 10:00 and eu deleted it at 10:01, neither having seen the other's "
      "write. The row of us lives, because its write is later than the delete (row=lww); of the delete of eu "
      "nothing is left.");
  const std::string incoming = explain_conflict(facts("delete_update", "incoming", whole));
  EXPECT_NE(incoming.find("The row of eu lives"), std::string::npos) << incoming;
  EXPECT_NE(incoming.find("of the delete of us nothing is left"), std::string::npos) << incoming;
  EXPECT_EQ(
      explain_conflict(facts("update_delete", "merged", columns)),
      "Row {\"id\": 1} of person: us wrote it at 10:00 and eu deleted it at 10:01, neither having seen the other's "
      "write. The delete of eu ended the lives of the row that it knew; an insert that it did not know lives on "
      "(email=lww, n=counter), without what had been added to the deleted life.");
}

TEST(ConflictText, UniqueKeys) {
  const std::string_view rule = "unique index person_email: the row that was born first keeps the key";
  EXPECT_EQ(
      explain_conflict(facts("unique", "incoming", rule)),
      "Two rows of person ask for one unique key, {\"id\": 1} among them: us wrote one at 10:00 and eu wrote one at "
      "10:01, neither having seen the other's. On every node the row of eu keeps the key (unique index person_email: "
      "the row that was born first keeps the key); the row of us is not lost: it waits in meridian.parked until the "
      "key is free.");
  ConflictFacts old = facts("unique", "local", rule);
  old.local = {"before replication", ""};
  const std::string text = explain_conflict(old);
  EXPECT_NE(text.find("On every node the older row keeps the key"), std::string::npos) << text;
  EXPECT_NE(text.find("the row of eu is not lost"), std::string::npos) << text;
}

TEST(ConflictText, UnknownKindsAreNamed) {
  const std::string text = explain_conflict(facts("some_kind", "merged", columns));
  EXPECT_NE(text.find("us wrote it at 10:00 and eu wrote it at 10:01"), std::string::npos) << text;
  EXPECT_NE(text.find("(some_kind)"), std::string::npos) << text;
  const std::string won = explain_conflict(facts("some_kind", "local", whole));
  EXPECT_NE(won.find("The row of us won (row=lww);"), std::string::npos) << "why is not known here: " << won;
}

}  // namespace
}  // namespace meridian
