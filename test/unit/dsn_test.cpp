#include "core/dsn.hpp"

#include <gtest/gtest.h>

#include "core/error.hpp"

namespace meridian {
namespace {

std::string refusal(const DsnKeywords& dsn, bool trusted, std::string_view patterns = "") {
  try {
    check_server_dsn(dsn, trusted, patterns);
  } catch (const Error& error) {
    EXPECT_FALSE(error.hint().empty());
    return error.what();
  }
  return "";
}

TEST(Dsn, OrdinaryStringsPass) {
  const DsnKeywords dsn = {{"host", "db1"}, {"port", "5433"}, {"dbname", "app"}, {"user", "prober"}, {"password", "x"}};
  EXPECT_EQ(refusal(dsn, false), "");
  EXPECT_EQ(refusal(dsn, true), "");
}

TEST(Dsn, TheAccountOfTheServerIsForSuperusers) {
  for (const char* keyword : {"passfile", "service", "sslcert", "sslkey", "sslrootcert", "requirepeer"}) {
    const DsnKeywords dsn = {{"host", "db1"}, {keyword, "x"}};
    EXPECT_NE(refusal(dsn, false).find("only a superuser"), std::string::npos) << keyword;
    EXPECT_EQ(refusal(dsn, true), "") << keyword;
  }
  EXPECT_NE(refusal({{"host", "/run/postgresql"}}, false), "");
  EXPECT_EQ(refusal({{"host", "/run/postgresql"}}, true), "");
  EXPECT_NE(refusal({{"host", "db1,@abstract"}}, false), "");
}

TEST(Dsn, WhatIsNotKnownIsRefused) {
  for (const char* keyword : {"options", "replication", "fallback_application_name", "gsslib", "something_new"})
    EXPECT_NE(refusal({{"host", "db1"}, {keyword, "x"}}, true).find("may not be"), std::string::npos) << keyword;
}

TEST(Dsn, AHostMustBeNamed) {
  EXPECT_NE(refusal({{"dbname", "app"}}, true).find("no host"), std::string::npos);
  EXPECT_NE(refusal({{"host", ","}}, true).find("no host"), std::string::npos);
  EXPECT_EQ(refusal({{"hostaddr", "10.0.0.1"}}, false), "");
}

TEST(Dsn, HostPatterns) {
  EXPECT_TRUE(admits_host("", "anything"));
  EXPECT_TRUE(admits_host("  ", "anything"));
  EXPECT_TRUE(admits_host("*", "anything"));
  EXPECT_TRUE(admits_host("db1", "db1"));
  EXPECT_FALSE(admits_host("db1", "db11"));
  EXPECT_FALSE(admits_host("db1", "xdb1"));
  EXPECT_TRUE(admits_host("10.0.*, *.example.org", "eu.example.org"));
  EXPECT_TRUE(admits_host("10.0.*, *.example.org", "10.0.7.1"));
  EXPECT_FALSE(admits_host("10.0.*, *.example.org", "example.org"));
  EXPECT_FALSE(admits_host("10.0.*, *.example.org", "eu.example.org.evil.net"));
  EXPECT_TRUE(admits_host("a*b*c", "a-b-b-c"));
  EXPECT_FALSE(admits_host("a*b*c", "a-b-b-"));
  EXPECT_FALSE(admits_host("db1,", "db2")) << "an empty item admits nothing";
  EXPECT_NE(refusal({{"host", "db1,169.254.169.254"}}, true, "db*"), "") << "each host of a list counts";
}

TEST(Dsn, ClientsGetAnAddress) {
  const DsnKeywords dsn = {{"user", "postgres"},    {"password", "secret"},     {"host", "db1"},
                           {"dbname", "my app"},    {"sslmode", "verify-full"}, {"passfile", "/x"},
                           {"connect_timeout", "3"}};
  EXPECT_EQ(to_conninfo(address_of(dsn)), "host=db1 port=5432 dbname='my app' sslmode=verify-full");
  EXPECT_EQ(to_conninfo(address_of({{"host", "it's"}, {"port", "1"}})), "host='it\\'s' port=1");
  EXPECT_EQ(to_conninfo(address_of({{"dbname", "app"}})), "port=5432 dbname=app") << "by the socket";
  EXPECT_EQ(to_conninfo(address_of({})), "");
}

TEST(Dsn, SeveralServersInOneString) {
  const std::vector<ServerAddress> servers = {
      address_of({{"host", "a,b"}, {"port", "1,2"}, {"dbname", "app"}}),
      address_of({{"host", "c"}, {"port", "3"}, {"dbname", "other"}}),
      address_of({{"host", "/run"}, {"port", "4"}, {"dbname", "app"}}),
      address_of({{"hostaddr", "10.0.0.5"}, {"dbname", "app"}}),
  };
  EXPECT_EQ(to_conninfo(servers, "prefer-standby", true),
            "host=a,b,/run, hostaddr=,,,10.0.0.5 port=1,2,4,5432 dbname=app target_session_attrs=prefer-standby "
            "load_balance_hosts=random");
  EXPECT_EQ(to_conninfo({}, "read-write", false), "");
}

TEST(Dsn, OnePortServesAllHosts) {
  EXPECT_EQ(to_conninfo(address_of({{"host", "a,b"}, {"port", "7"}})), "host=a,b port=7,7");
}

TEST(Dsn, ValuesAreQuotedAsLibpqReadsThem) {
  const auto quoted = [](std::string_view value) {
    std::string dsn;
    append_dsn_keyword(dsn, "k", value);
    return dsn;
  };
  EXPECT_EQ(quoted("db1"), "k=db1");
  EXPECT_EQ(quoted(""), "k=''");
  EXPECT_EQ(quoted("two words"), "k='two words'");
  EXPECT_EQ(quoted("it's"), R"(k='it\'s')");
  EXPECT_EQ(quoted(R"(a\b)"), R"(k='a\\b')");
  EXPECT_EQ(quoted("a\fb"), "k='a\fb'");
  std::string dsn = "host=db1";
  append_dsn_keyword(dsn, "application_name", "meridian sink o'clock");
  EXPECT_EQ(dsn, R"(host=db1 application_name='meridian sink o\'clock')");
}

}  // namespace
}  // namespace meridian
