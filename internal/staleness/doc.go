// Package staleness judges whether what this process knows of its database is young
// enough to answer requests by.
//
// Several processes share a database, and each learns what the others changed a moment
// later. One that has not heard from the database for a while knows neither what was
// revoked since nor how much: it must not go on answering as if nothing was. [Watch] is
// asked at each request, and costs a look at one word of memory.
package staleness
