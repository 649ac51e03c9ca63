// Package server turns a [Config] into a running Gatehouse: it opens the store,
// wires every part to the interfaces that the parts declare, starts the
// listeners and the background jobs, and stops them in order.
//
// It is the only package that imports everything, and nothing but the commands
// imports it. It holds no rule of its own about who may do what; a decision
// that is made here is in the wrong room.
package server
