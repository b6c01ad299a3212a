ARG NODE_IMAGE=node:22-bookworm-slim
# For bundles whose packages need more than package.json to be installed: scripts of their own,
# packages in local folders, or a part of node_modules in the archive.
FROM ${NODE_IMAGE}
ENV NODE_ENV=production
# Numbers, because not every Node image has a user of that name.
COPY --chown=1000:1000 bundle/ /bundle/
WORKDIR /bundle/programs/server
# npm up to 6 skips install scripts when it is root (unless told --unsafe-perm); an ordinary user
# needs no such flag.
USER 1000:1000
ARG NPM_VERSION=
RUN export HOME=/tmp/npm \
        npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false && \
    if [ -n "$NPM_VERSION" ] && [ "$(npm --version)" != "$NPM_VERSION" ]; then \
        echo "npm $(npm --version) of the base image installs the packages; the bundle was made with npm $NPM_VERSION"; \
    fi && \
    npm install && \
    rm -rf /tmp/npm

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
