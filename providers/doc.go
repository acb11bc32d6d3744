// Package providers is the contract between outdial and the services that place calls.
//
// Its one idea: what an adapter writes (Driver and the one-method capabilities) is not what the rest of the program
// holds (Provider). A Driver is as small as a service is honest; the Provider over it does once what is the same for all:
// it checks an order before anything is reserved, follows a call through streams that break and services that are only
// polled, says unsupported where there is nothing, and logs. A capability is an interface, so the compiler holds the list;
// nothing ever wraps a Driver.
//
// # What an adapter owes
//
//   - Place dials at most once, whatever happens, and its error tells what is known: unavailable only if nothing was sent,
//     uncertain whenever the service may have read the request and its answer does not say no.
//   - It retries nothing and keeps no memory of calls: a Ref from yesterday's process works as well as its own.
//   - Every error is a *phone.Error. Its Message holds neither a secret nor a whole number nor the service's own words.
//   - It gives the words of the conversation as phone.Agent and phone.Callee, and no marker of its protocol is ever a word.
//   - A context that ends stops it within a second, and it leaves no goroutine behind.
//   - It is safe for use by many goroutines.
//
// # What an adapter is owed
//
//   - The order's number is valid, its task is not empty, and its options are of the names and types of its Spec.
//   - Place runs under a context that no client's leaving cancels.
//   - A Ref is one that this service gave for this account.
//
// It stores nothing, decides nothing about whether a number may be dialed, and never calls an adapter twice to place a call.
package providers
