// Package fleet tests what deploy says about several outdials behind one proxy.
//
// Its one idea: what can be run is run. The proxy's configuration is the real one, with other addresses, in a real HAProxy,
// before replicas that are played and then before real ones. Where there is nothing to run it with, which is so for
// compose.yaml, it is read as text and held to what it must say.
//
// It starts no containers and holds no code of the product's.
package fleet
