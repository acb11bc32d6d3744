// Package ledger is what survives a crash: calls, their events, the intents that keep a request from dialing twice, and
// which process follows which call.
//
// Its one idea: record, then show. Every write goes through one writer that commits in groups, and returns only once it
// is synced to disk, so whatever a client has seen is still there after the power has failed. What a provider answered to
// a dial is a fact and is recorded by whoever learned it; everything else that is written to a call is conditional on the
// epoch under which the writer follows it.
//
// It decides nothing about a call and folds nothing itself: what events mean is phone's.
package ledger
