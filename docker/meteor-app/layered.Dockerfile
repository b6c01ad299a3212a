ARG NODE_IMAGE=node:22-bookworm-slim
# For bundles as `meteor build` makes them: npm installs the server's packages.
FROM ${NODE_IMAGE}
ENV NODE_ENV=production

# First only what decides about the packages, so that this layer is kept as long as they stay the
# same. The brackets make a file optional. npm-rebuilds.json stays behind: what it lists is not
# there yet.
COPY --chown=1000:1000 \
    bundle/programs/server/package.json \
    bundle/programs/server/npm-shrinkwrap.jso[n] \
    bundle/programs/server/package-lock.jso[n] \
    bundle/programs/server/.npmr[c] \
    bundle/programs/server/npm-rebuild.j[s] \
    bundle/programs/server/npm-rebuild-args.j[s] \
    /bundle/programs/server/
WORKDIR /bundle/programs/server
# npm up to 6 skips install scripts when it is root (unless told --unsafe-perm); an ordinary user
# needs no such flag. Numbers, because not every Node image has a user of that name.
USER 1000:1000
RUN export HOME=/tmp/npm METEOR_SKIP_NPM_REBUILD=1 \
        npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false && \
    npm install && \
    rm -rf /tmp/npm

COPY --chown=1000:1000 bundle/ /bundle/
# Builds the binary parts of the packages that the app brought along in npm/ anew, for this Node.
# Where that cannot be done (no compiler, or prebuilt binaries out of reach), those that came with the
# bundle are used: what was compiled on Linux against Node-API runs on every Node.
RUN export HOME=/tmp/npm \
        npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false && \
    if [ -d npm ]; then cp -a npm /tmp/npm-as-packed; fi && \
    if [ -f npm-rebuild.js ] && ! node npm-rebuild.js; then \
        echo "npm rebuild failed: the binary modules are used as they came with the bundle" && \
        rm -rf npm && \
        if [ -d /tmp/npm-as-packed ]; then cp -a /tmp/npm-as-packed npm; fi; \
    fi && \
    rm -rf /tmp/npm /tmp/npm-as-packed
WORKDIR /bundle
CMD ["node", "main.js"]
