ARG NODE_IMAGE=node:22-bookworm-slim
# For bundles with all of their packages in bundle/programs/server/node_modules: nothing is run, so
# nothing needs the network.
FROM ${NODE_IMAGE}
ENV NODE_ENV=production
# Numbers, because not every Node image has a user of that name.
COPY --chown=1000:1000 bundle/ /bundle/
USER 1000:1000
WORKDIR /bundle
CMD ["node", "main.js"]
