.DEFAULT_GOAL := help
.PHONY: help run dev image base update-check audit sbom stop logs status reload setup new test test-swarm test-kubernetes test-podman test-arm64 lint lock faults soak measure bench bench-full
export DOCKER_BUILDKIT = 1
export IMAGE ?= wsgi
export NAME ?= $(subst :,-,$(notdir $(IMAGE)))
export PORT ?= 80
export HTTPS_PORT ?= 443
export TLS
export DEBUGPY
ROUNDS ?= 20
MINUTES ?= 60
CACHE = $(or $(XDG_CACHE_HOME),$(HOME)/.cache)
KUBERNETES_BUILD ?= $(CACHE)/wsgi-kubernetes-1.20
ARM64_IMAGES ?= $(CACHE)/wsgi-arm64

help: ## List these targets
	@sed -n 's/^\([a-z0-9-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 22

run: image ## Build the image and serve it on port 80 (PORT=8080 for another; TLS=1 adds HTTPS, self-signed)
	@tools/run run

dev: image ## Serve src/ as it is on disk: edits are live within 1 second, tracebacks show on the page (DEBUGPY=5678: debugger)
	@tools/run dev

image: ## Build the image, tag wsgi (IMAGE= for another)
	@tools/bootstrap
	@tools/build --tag $(IMAGE) .

base: ## Build the images that another Dockerfile can start from: wsgi:build, wsgi:run and wsgi:full
	@tools/bootstrap
	@tools/build --target build --tag $(IMAGE):build .
	@tools/build --target run --tag $(IMAGE):run .
	@tools/build --target full --tag $(IMAGE):full .

update-check: ## List packages of the image that are newer in Debian's archive; fail if there are any
	@tools/update-check $(IMAGE)

audit: ## List known vulnerabilities of the locked Python packages; fail if there are any
	@tools/bootstrap tools
	@.tools/bin/uv tool run pip-audit@2.10.1 --disable-pip --require-hashes --strict $(addprefix --requirement ,$(wildcard runtime/requirements.lock runtime/build/requirements.lock src/requirements.lock))

sbom: ## Print the bill of materials of the image (CycloneDX, JSON)
	@docker run --rm --interactive --network none --entrypoint python3 $(IMAGE) -I - < tools/sbom.py

stop: ## Stop the container (NAME=, by default the name of the image); requests in flight finish
	@docker stop $(NAME) > /dev/null

logs: ## Follow the container's log
	@docker logs --follow $(NAME)

status: ## Print the address of the status page, whose port is not published
	@tools/status

reload: ## Load the app's code again; no request fails
	@docker kill --signal HUP $(NAME) > /dev/null

setup: ## Install what this machine lacks: container engine, base image, what the tests need
	@tools/bootstrap test

test: setup ## Run every test, on the real image
	@tools/test

test-swarm: setup ## Test deploy/swarm/ on three engines of this machine (5 minutes)
	@.venv/bin/python -m pytest -s tests/clusters/test_swarm.py

test-kubernetes: setup ## Test deploy/kubernetes/ on three nodes of this machine (builds Kubernetes first: 20 minutes, 4 GB)
	@tests/clusters/kubernetes-build "$(KUBERNETES_BUILD)"
	@KUBERNETES_BUILD="$(KUBERNETES_BUILD)" .venv/bin/python -m pytest -s tests/clusters/test_kubernetes.py

test-podman: setup ## Test the commands of docs/platforms.md with podman, of root and of another user (5 minutes)
	@tools/bootstrap podman
	@.venv/bin/python -m pytest -s tests/platforms/test_podman.py

test-arm64: setup ## Test the image for arm64, by emulation (an hour for the first run, 2 GB)
	@tools/bootstrap arm64
	@tests/platforms/arm64 "$(ARM64_IMAGES)" tests/platforms/test_arm64.py tests/worker/test_wsgi_environment.py \
		tests/worker/test_wsgi_server.py tests/nginx/test_static.py

lint: setup ## Check the code and the configuration files
	@tools/lint

new: ## Copy the template to a new folder, for your app (DIR=../my-app)
	@tools/bootstrap tools
	@tools/new "$(DIR)"

lock: ## Write the lock files again, with hashes
	@tools/bootstrap tools
	@tools/lock

faults: setup ## Measure faults, and repeat their tests (ROUNDS=20)
	@.venv/bin/python tools/faults.py $(ROUNDS)
	@.venv/bin/python -m bench.overview

soak: setup ## Run a container with everything on, and print what has grown (MINUTES=60)
	@.venv/bin/python tools/soak.py $(MINUTES)

measure: image ## Print size, memory and startup time of the image
	@python3 tools/measure.py

bench: setup ## Compare the template with other servers
	@.venv/bin/python bench/run.py
	@.venv/bin/python -m bench.report
	@.venv/bin/python -m bench.overview

bench-full: setup ## The same with more rounds, and with growing load
	@.venv/bin/python bench/run.py --rounds 15 --starts 7
	@.venv/bin/python -m bench.growth
	@.venv/bin/python -m bench.report
	@.venv/bin/python -m bench.overview
