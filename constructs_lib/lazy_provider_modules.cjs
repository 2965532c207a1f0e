// For NODE_OPTIONS=--require: loads a prebuilt provider's resource modules when they are first used.
// Each provider's lib/index.js begins with one require() a resource: for kubernetes 109 of them, 98 MB of JavaScript.
"use strict";
const Module = require("node:module");

const INDEX = /[/\\]provider-[^/\\]+[/\\](?:[0-9a-f.]+[/\\])*lib[/\\]index\.js$/;
const EAGER = /^exports\.(\w+) = require\(["'](\.\/[^"']+)["']\);$/gm;
const LAZY = 'Object.defineProperty(exports, "$1", { enumerable: true, configurable: true, get: () => require("$2") });';

const compile = Module.prototype._compile;
Module.prototype._compile = function (content, filename, ...rest) {
  const source = INDEX.test(filename) ? content.replace(EAGER, LAZY) : content;
  return compile.call(this, source, filename, ...rest);
};
