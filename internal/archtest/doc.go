// Package archtest holds the rules of this repository that a compiler does not know: which package may import which, what
// a package must not hold, how an adapter is laid out, and what the files beside the code say.
//
// Its one idea: a rule is a function over the files on disk, and each comes with planted faults that it must find; a rule
// that cannot fail proves nothing. The files are read and parsed here and no other tool is asked, because go test caches
// a result as long as the files that the test itself has read stay as they are.
//
// It holds tests alone, and judges form: what the code does is tested beside the code.
package archtest
