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
RUN export HOME=/tmp/npm \
        npm_config_audit=false npm_config_fund=false npm_config_update_notifier=false && \
    npm install && \
    rm -rf /tmp/npm
WORKDIR /bundle
CMD ["node", "main.js"]
