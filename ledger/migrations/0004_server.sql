CREATE TABLE inbox (
  digest  TEXT PRIMARY KEY,
  account TEXT NOT NULL,
  ref     TEXT NOT NULL,
  at      BIGINT NOT NULL,
  body    TEXT NOT NULL,
  unread  BIGINT NOT NULL
);
CREATE INDEX inbox_unread ON inbox (account, ref) WHERE unread = 1;
CREATE INDEX inbox_at ON inbox (at);
CREATE TABLE inquiries (
  id          TEXT PRIMARY KEY,
  call_id     TEXT NOT NULL,
  tool        TEXT NOT NULL,
  arguments   TEXT NOT NULL,
  asked_at    BIGINT NOT NULL,
  deadline    BIGINT NOT NULL,
  source      TEXT NOT NULL,
  answer      TEXT NOT NULL,
  answered_at BIGINT NOT NULL
);
CREATE INDEX inquiries_by_call ON inquiries (call_id);
CREATE TABLE call_tools (
  account TEXT NOT NULL,
  id      TEXT NOT NULL,
  name    TEXT NOT NULL,
  digest  TEXT NOT NULL,
  PRIMARY KEY (account, id)
);
CREATE TABLE endings (
  call_id TEXT PRIMARY KEY,
  outcome TEXT NOT NULL,
  at      BIGINT NOT NULL,
  due     BIGINT NOT NULL,
  tries   BIGINT NOT NULL
);
CREATE INDEX endings_due ON endings (due) WHERE due > 0;
ALTER TABLE calls ADD COLUMN erased BIGINT NOT NULL DEFAULT 0;
ALTER TABLE calls ADD COLUMN erased_at BIGINT NOT NULL DEFAULT 0;
CREATE INDEX calls_by_age ON calls (erased, created_at);
CREATE INDEX names_by_call ON names (call_id);
CREATE INDEX calls_by_account ON calls (account, ref);
