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
ARG NPM_VERSION=
RUN export HOME=/tmp/npm METEOR_SKIP_NPM_REBUILD=1 \
        npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false && \
    if [ -n "$NPM_VERSION" ] && [ "$(npm --version)" != "$NPM_VERSION" ]; then \
        echo "npm $(npm --version) of the base image installs the packages; the bundle was made with npm $NPM_VERSION"; \
    fi && \
    npm install && \
    rm -rf /tmp/npm

# Then the packages that the app brought along (npm/) and the list of those with binary parts
# (npm-rebuilds.json), which are built anew for this Node, in a layer that is kept as long as these
# stay the same: the context has them apart from the bundle's other files.
# Where that cannot be done (no compiler, or prebuilt binaries out of reach), those that came with the
# bundle are used: what was compiled on Linux against Node-API runs on every Node.
COPY --chown=1000:1000 packages/ /bundle/
RUN export HOME=/tmp/npm \
        npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false && \
    if [ -d npm ]; then cp -a npm /tmp/npm-as-packed; fi && \
    if [ -f npm-rebuild.js ] && ! node npm-rebuild.js; then \
        echo "npm rebuild failed: the binary modules are used as they came with the bundle" && \
        rm -rf npm && \
        if [ -d /tmp/npm-as-packed ]; then cp -a /tmp/npm-as-packed npm; fi; \
    fi && \
    rm -rf /tmp/npm /tmp/npm-as-packed

# The app itself, which changes most often.
COPY --chown=1000:1000 bundle/ /bundle/

# setup.sh
# The bundle's own scripts, as Galaxy's base image runs them: when the packages are installed, by bash, as
# root, the server's before the bundle's.
USER 0:0
RUN set -e; \
    for folder in /bundle/programs/server /bundle; do \
        if [ -f "$folder/setup.sh" ]; then \
            echo "running $folder/setup.sh"; \
            cd "$folder"; \
            bash ./setup.sh; \
        fi; \
    done
# end of setup.sh

USER 1000:1000
WORKDIR /bundle
CMD ["node", "main.js"]
