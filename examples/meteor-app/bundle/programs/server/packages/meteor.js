'use strict';
// Settings and start-up checks, with the messages that Meteor gives.
const { MONGO_URL, ROOT_URL, METEOR_SETTINGS, STAND_IN_FAIL_ONCE } = process.env;

function fail(message) {
  console.error(message);
  process.exit(1);
}

if (!ROOT_URL) fail('Error: Must pass options.rootUrl or set ROOT_URL in the server environment');
if (!MONGO_URL) fail('Error: MONGO_URL must be set in environment');

// A first start that fails and a second that works, as some real apps do with an empty database.
if (STAND_IN_FAIL_ONCE) {
  const marker = '/tmp/stand-in-failed-once';
  const fs = require('fs');
  if (!fs.existsSync(marker)) {
    fs.writeFileSync(marker, '');
    fail('Error: failing once, as STAND_IN_FAIL_ONCE asks');
  }
}

let settings = {};
if (METEOR_SETTINGS) {
  try {
    settings = JSON.parse(METEOR_SETTINGS);
  } catch (error) {
    fail('METEOR_SETTINGS are not valid JSON.');
  }
}

module.exports = { settings, carried: require('../npm/node_modules/meteor/stand-in') };
