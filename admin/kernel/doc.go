// Package kernel is the frame of every use case of administration: may the caller do it (and is a refusal recorded),
// what is wrong with the input, which event tells of the change, how a list is paged, what a merge patch does. It knows
// no subject: users, keys and the others stand on it, each in a room of its own beside this one.
//
// A use case does the same steps in the same order: [Kernel.Authorize] or [Kernel.AuthorizeOwn], [Faults], then one
// transaction that holds the change and the event of [Kernel.Event].
//
// It must never import another room of admin.
package kernel
