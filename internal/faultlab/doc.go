// Package faultlab breaks things: it puts whole replicas of outdial, the real switchboard, ledger and adapters, between a
// client that repeats itself and a provider that records every dial, and fails whatever lies between.
//
// Its one idea: the provider is the oracle. What rang is what the provider recorded; what the clients were told and what
// the ledgers hold is compared with that, whatever broke on the way. Network and time are its own, so that a deadline of
// twenty seconds and a search of two minutes cost nothing, and a thousand schedules are an ordinary test.
//
// It kills no process: cmd/outdial's tests do that to the real one.
package faultlab
