'use strict';
// The install script of a Meteor bundle rebuilds native code under npm/. There is none here; the marker shows that it ran,
// which npm leaves out when it is told to ignore scripts, or when an old npm runs as root.
require('fs').writeFileSync('npm-rebuild.done', process.version + '\n');
