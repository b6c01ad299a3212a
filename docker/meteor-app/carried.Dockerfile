ARG NODE_IMAGE=node:22-bookworm-slim
# For bundles with all of their packages in bundle/programs/server/node_modules: nothing is installed, so
# nothing needs the network.
FROM ${NODE_IMAGE}
ENV NODE_ENV=production
# Numbers, because not every Node image has a user of that name.
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
