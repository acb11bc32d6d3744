// Package switchboard is the application: it places calls, follows them, and answers for them.
//
// Its one idea: Place reads like its specification. Parse, find the intent, judge, reserve and record, dial, acknowledge,
// follow; the intent is on disk before a byte goes to a provider, and what a provider may have read is never sent again.
// Run is the other half: it takes up the calls that nobody follows any more.
//
// It knows no protocol and no service; who asks is an argument.
package switchboard
