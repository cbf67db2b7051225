// Loaded before the proxy itself (node --require): two things that it has no option for.
'use strict';

const http = require('node:http');

// A log that cannot be written (the disk is full) is an error of its stream. Unheard it would end
// in the proxy's own handler, which logs it, and so on without end: nobody would get an answer.
for (const stream of [process.stdout, process.stderr]) {
  stream.on('error', () => {});
}

// Node gives a whole request 5 minutes: a large push through a slow line takes longer. Headers
// keep their own limit; the service's is 30 minutes.
const create = http.createServer;
http.createServer = (...given) => {
  const server = create(...given);
  server.requestTimeout = 1_800_000;
  return server;
};
