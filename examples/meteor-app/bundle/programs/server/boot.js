'use strict';
// Loads what program.json lists, in order. As in Meteor, the environment decides everything else.
const fs = require('fs');
const path = require('path');

require('source-map-support').install();

const program = JSON.parse(fs.readFileSync(process.argv[2] || 'program.json', 'utf8'));
global.__meteor_bootstrap__ = { startTime: Date.now(), serverDir: __dirname };

for (const file of program.load) require(path.join(__dirname, file.path));
