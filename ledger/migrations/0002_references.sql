CREATE INDEX calls_by_ref ON calls (account, ref);
