.DEFAULT_GOAL := help
.PHONY: help run dev image stop logs status reload test lint lock soak measure bench bench-full
export DOCKER_BUILDKIT = 1
export PORT ?= 80
export NAME ?= wsgi
export IMAGE ?= wsgi
export HTTPS_PORT ?= 443
ROUNDS ?= 20
HTTPS := $(if $(TLS),--env HTTPS_PORT --publish $(HTTPS_PORT):$(HTTPS_PORT) --volume $(CURDIR)/.tls:/tls:ro \
	--env TLS_CERT=/tls/localhost.crt --env TLS_KEY=/tls/localhost.key)

help: ## List these targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/make \1	\2/p' $(MAKEFILE_LIST) | expand -t 20

run: image ## Build the image and serve it on port 80 (PORT=8080 for another; TLS=1 adds HTTPS, self-signed)
	@$(if $(TLS),tools/certificate)
	@tools/run make run $(HTTPS)

dev: image ## Serve src/ as it is on disk: an edit is live within 2 seconds, a traceback shows on the page
	@tools/run make dev --env PROFILE=development --user "$$(id -u):0" --volume "$(CURDIR)/src:/app:ro"

image: ## Build the image, tag wsgi (IMAGE= for another)
	@tools/bootstrap
	@tools/build --tag $(IMAGE) .

base: ## Build the images that other Dockerfiles start from, IMAGE:build and IMAGE:run
	@tools/bootstrap
	@tools/build --target build --tag $(IMAGE):build .
	@tools/build --target run --tag $(IMAGE):run .

stop: ## Stop the container; requests in flight finish
	@docker stop $(NAME) > /dev/null

logs: ## Follow the container's log
	@docker logs --follow $(NAME)

status: ## Say where the status page is: its port is not published
	@tools/status

reload: ## Load the app's code again; no request fails
	@docker kill --signal HUP $(NAME) > /dev/null

test: ## Run every test, on the real image
	@tools/bootstrap test
	@tools/test

lint: ## Check the code and the configuration files
	@tools/bootstrap test
	@tools/lint

lock: ## Pin what the requirements.txt files ask for, with hashes
	@tools/bootstrap test
	@tools/lock

soak: ## Measure faults, and run their tests again and again (ROUNDS=20)
	@tools/bootstrap test
	@.venv/bin/python tools/soak.py $(ROUNDS)

measure: image ## Print the figures that README has
	@python3 tools/measure.py

bench: ## Measure the template beside everything that people would use instead
	@tools/bootstrap test
	@.venv/bin/python bench/run.py
	@.venv/bin/python -m bench.report

bench-full: ## The same with more rounds, and how it grows
	@tools/bootstrap test
	@.venv/bin/python bench/run.py --rounds 15 --starts 7
	@.venv/bin/python -m bench.growth
	@.venv/bin/python -m bench.report
